"""From a model and a configuration to what the accelerator reads: where everything lies, the program, the image."""
