"""Size of an accelerator from its configuration alone, in a millisecond: for sweeps over many configurations."""
