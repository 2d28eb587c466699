"""What a point is judged by: the figures of an estimate by name, and which of them better designs have more of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rtlm.gen.boards.devices import DEVICES
from rtlm.gen.synthesis.targets import TARGETS

RESOURCES = ("lut", "ff", "dsp", "bram", "uram")
"""What a device has of which a design must not take more: all of `rtlm.gen.synthesis.targets.RESOURCES` but carry
chains, of which it takes less than of tables.
"""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A figure of a point.

    Parameters
    ----------
    title
        Its name in tables and plots, with the unit.
    best
        ``max`` or ``min``, whichever is better.
    text
        Writes a value.
    meaning
        One phrase for the documentation.
    """

    title: str
    best: str
    text: Callable[[float], str]
    meaning: str


def _number(value: float) -> str:
    """Write three significant digits, and whole numbers from 100 on."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _share(value: float) -> str:
    return f"{value:.1%}"


def _mebibytes(value: float) -> str:
    return f"{value / (1 << 20):,.1f} MiB"


METRICS = {
    "tokens_per_s": Metric(title="tokens/s", best="max", text=_number, meaning="tokens of all sequences a second"),
    "tokens_per_j": Metric(title="tokens/J", best="max", text=_number, meaning="tokens/s / power"),
    "cycles_per_token": Metric(title="cycles/token", best="min", text=_whole, meaning="cycles of a step / its tokens"),
    "latency_s": Metric(
        title="latency (s)", best="min", text=_number, meaning="time from token to token of a sequence"
    ),
    "ttft_s": Metric(title="TTFT (s)", best="min", text=_number, meaning="time to the first token of the prompt"),
    "bandwidth_utilisation": Metric(
        title="utilisation", best="max", text=_share, meaning="bytes that the step needs / (time x peak)"
    ),
    "power_w": Metric(title="power (W)", best="min", text=_number, meaning="chip and memory, estimated"),
    "area": Metric(
        title="area", best="min", text=_share, meaning="the largest share that a resource takes of the board's device"
    ),
    "lut": Metric(title="LUT", best="min", text=_whole, meaning="tables"),
    "ff": Metric(title="FF", best="min", text=_whole, meaning="registers"),
    "dsp": Metric(title="DSP", best="min", text=_whole, meaning="multipliers"),
    "bram": Metric(title="BRAM", best="min", text=_number, meaning="block memories of the device's own size"),
    "uram": Metric(title="URAM", best="min", text=_number, meaning="UltraRAM blocks"),
    "memory_bytes": Metric(
        title="memory", best="min", text=_mebibytes, meaning="image with the KV cache of all sequences"
    ),
    "kv_cache_bytes": Metric(title="KV cache", best="min", text=_mebibytes, meaning="KV cache of all sequences"),
}
"""By the name that objectives and constraints use."""


def device_of(config: Mapping[str, Any]) -> str:
    """Return the board whose device a configuration must fit, empty where none is known.

    A board whose device is made in another technology than pipelines are scheduled for is none.
    """
    device = DEVICES.get(config["board"])
    return config["board"] if device and TARGETS[device.target].technology == config["technology"] else ""


def area_share(area: Mapping[str, float], board: str) -> float | None:
    """Return the largest share that a resource takes of a board's device, None where there is no device."""
    if not board:
        return None
    available = DEVICES[board].available
    return max((area[name] / available[name] for name in RESOURCES if available.get(name)), default=None)


def over_device(area: Mapping[str, float], board: str) -> list[str]:
    """Return the resources of which a design takes more than a board's device has."""
    available = DEVICES[board].available
    return [name for name in RESOURCES if area[name] > available.get(name, 0)]
