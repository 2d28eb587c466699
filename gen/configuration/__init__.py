"""One YAML file to one validated configuration: loading, schema, fields, rules, presets."""
