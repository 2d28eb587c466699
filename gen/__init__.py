"""From a YAML file to files: configuration, Verilog and what goes with it, synthesis, boards."""
