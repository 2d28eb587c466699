"""What ``--backend`` says of a board: which files, which memory, how long to wait. Quick to load."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

from rtlm.host.errors import AcceleratorError

DEFAULT_TIMEOUT_S = 60.0
"""Far above what a step takes: a stalled step is ended by the accelerator's own WATCHDOG."""


def _number(text: str) -> int:
    value = int(text, 0)
    if value < 0:
        raise ValueError
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise ValueError
    return value


def _text(text: str) -> str:
    if not text:
        raise ValueError
    return text


def _interrupt(text: str) -> str:
    if text not in ("file", "poll"):
        raise ValueError
    return text


_Reader = tuple[Callable[[str], int | float | str], str]
_COMMON: dict[str, _Reader] = {
    "base": (_number, "an address such as 0x40000000"),
    "timeout": (_seconds, "a number of seconds above 0"),
    "interrupt": (_interrupt, "file or poll"),
    "image": (_text, "a folder that rtlm image wrote"),
}
SCHEMES: dict[str, tuple[str, dict[str, _Reader]]] = {
    "uio": (
        "uio:/dev/uioN[,udmabuf=NAME][,map=N]",
        _COMMON | {"udmabuf": (_text, "the name of a u-dma-buf"), "map": (_number, "the number of a map")},
    ),
    "xdma": (
        "xdma:/dev/xdmaN[,registers=OFFSET][,channel=N][,event=N]",
        _COMMON
        | {
            "registers": (_number, "the registers' offset in the BAR"),
            "channel": (_number, "the number of a DMA channel"),
            "event": (_number, "the number of a user interrupt"),
        },
    ),
    "uart": (
        "uart:/dev/ttyUSBN[,baud=N][,answer=SECONDS]",
        {key: _COMMON[key] for key in ("timeout", "image")}
        | {
            "baud": (_number, "a speed such as 1000000"),
            "answer": (_seconds, "a number of seconds above 0"),
        },
    ),
}
"""How boards are reached: the form of the address, and what can be set behind it."""


@dataclass(frozen=True, kw_only=True)
class BoardAddress:
    """A board, as ``--backend`` names it.

    Parameters
    ----------
    scheme
        How it is reached: one of `SCHEMES`.
    path
        Its device file, or what the names of its device files begin with.
    settings
        What was set behind the path.
    """

    scheme: str
    path: str
    settings: Mapping[str, int | float | str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an address such as ``uio:/dev/uio0,udmabuf=udmabuf0``.

        Raises
        ------
        AcceleratorError
            If the scheme is unknown, the path is missing, or a setting is not allowed.
        """
        scheme, colon, rest = text.partition(":")
        if not colon or scheme not in SCHEMES:
            raise AcceleratorError(f"a board must be {known()}, got {text}")
        form, readers = SCHEMES[scheme]
        path, *parts = rest.split(",")
        if not path:
            raise AcceleratorError(f"{scheme}: must be followed by a device file, as in {form}, got {text}")
        settings: dict[str, int | float | str] = {}
        for part in parts:
            key, equals, value = part.partition("=")
            if not equals or key not in readers:
                raise AcceleratorError(f"what follows {scheme}:{path} must be {', '.join(readers)}, got {part or ','}")
            read, allowed = readers[key]
            try:
                settings[key] = read(value)
            except ValueError:
                raise AcceleratorError(
                    f"{key} of {scheme}:{path} must be {allowed}, got {value or 'nothing'}"
                ) from None
        return cls(scheme=scheme, path=path, settings=settings)

    def number(self, key: str, default: int = 0) -> int:
        """Return a setting that is a whole number."""
        return int(self.settings.get(key, default))

    @property
    def name(self) -> str:
        """The scheme and the device file, for sentences."""
        return f"{self.scheme}:{self.path}"

    @property
    def base(self) -> int:
        """Where byte address 0 of the accelerator lies, as the memory's own addresses count."""
        return self.number("base")

    @property
    def timeout_s(self) -> float:
        """Seconds that a step may take."""
        return float(self.settings.get("timeout", DEFAULT_TIMEOUT_S))

    @property
    def image(self) -> str | None:
        """Folder of the image, None where the model is packed anew."""
        value = self.settings.get("image")
        return None if value is None else str(value)

    @property
    def polls(self) -> bool:
        """Whether STATUS is looked at instead of waiting for the interrupt."""
        return self.settings.get("interrupt") == "poll"


def is_board(backend: str) -> bool:
    """Say whether a backend is a board, by its form."""
    return ":" in backend


def known() -> str:
    """Return the forms of addresses in words."""
    return " or ".join(form for form, _ in SCHEMES.values())
