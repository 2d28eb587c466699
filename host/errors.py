"""What the host raises where the user can put it right."""

from rtlm.gen.common.errors import RtlmError


class ModelError(RtlmError):
    """A model file, its vocabulary, its download or a text for it cannot be used."""


class AcceleratorError(RtlmError):
    """The accelerator, simulated or not, cannot be used or stopped with an error."""
