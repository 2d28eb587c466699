"""The bench that `rtlm generate kernel` writes beside the RTL, to be run on its own."""
