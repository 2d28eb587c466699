"""Around the accelerator: model files, compiler, driver, golden model, reports, and the command line."""
