"""The exceptions that end a command with one sentence instead of a trace."""


class ModelError(Exception):
    """A model file, its vocabulary or its download cannot be used; the message is one sentence that names the value."""


class AcceleratorError(Exception):
    """The accelerator, simulated or not, cannot be used or stopped with an error."""
