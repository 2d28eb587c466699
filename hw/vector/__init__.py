"""The vector engine, everything between two products: parameters, unit, parts, model."""
