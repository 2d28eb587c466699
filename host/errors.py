"""What the host raises where the user can put it right."""

from typing import ClassVar

from rtlm.gen.common.errors import NEGATIVE, RtlmError


class ModelError(RtlmError):
    """A model file, its vocabulary, its download or a text for it cannot be used."""


class ContextError(ModelError):
    """A conversation has grown beyond the context."""


class AcceleratorError(RtlmError):
    """The accelerator, simulated or not, cannot be used or stopped with an error."""


class ImageError(RtlmError):
    """A folder with a memory image cannot be written or read."""


class ImageMismatchError(ImageError):
    """A folder with a memory image is not what its manifest says, or not for what it was compared with."""

    exit_code: ClassVar[int] = NEGATIVE
