"""Delays of a device's primitives and wires, read from a file in ``constraints`` that names the source of each."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import yaml
from rtlm.gen.boards.constraints import FOLDER

TIMED = ("xilinx-us+", "ecp5")
"""Targets with a file ``timing-TARGET.yaml``."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What primitives of a kind take, in ns; a pin stands for all bits of its bus (`Kind.pin`).

    Parameters
    ----------
    name
        Name of the kind: ``lut``, ``register``.
    through
        Combinational delay from an input pin to an output pin.
    clock_to_output, setup
        Of the pins that are clocked.
    clocks
        Pins that are a clock and no data.
    block
        Whether it stands in a column of its own.
    """

    name: str
    through: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    clock_to_output: Mapping[str, float] = field(default_factory=dict)
    setup: Mapping[str, float] = field(default_factory=dict)
    clocks: frozenset[str] = frozenset()
    block: bool = False

    def pin(self, name: str) -> str:
        """Return the pin under which the delays of a port stand: ``A`` for ``A17`` where there is none for ``A17``."""
        named = name in self.through or name in self.setup or name in self.clock_to_output or name in self.clocks
        named = named or any(name in outputs for outputs in self.through.values())
        return name if named else name.rstrip("0123456789")


@dataclass(frozen=True, kw_only=True)
class Dedicated:
    """A connection that is not routed: a carry chain, a table in front of its register.

    Parameters
    ----------
    source, sink
        Kind and pin at its ends.
    ns
        Its delay.
    alone
        Whether it is one only where all sinks of the net are such pins.
    """

    source: tuple[str, str]
    sink: tuple[str, str]
    ns: float
    alone: bool = False


@dataclass(frozen=True, kw_only=True)
class Wires:
    """Delay of a routed connection.

    Parameters
    ----------
    fixed_ns
        Between two tables, of a net with one sink.
    fanout_ns
        Times the cube root of the number of sinks, less one: what routed nets follow best.
    block_ns
        Added for each end at a multiplier or a block memory, which stand in columns of their own.
    path_ns
        Added to each path once: the slowest of many has longer wires than the mean.
    """

    fixed_ns: float
    fanout_ns: float
    block_ns: float
    path_ns: float

    def delay(self, sinks: Any, blocks: Any) -> Any:
        """Return the delay to a pin on a net with so many sinks, where so many of both ends are at blocks."""
        return self.fixed_ns + self.fanout_ns * spread(sinks) + self.block_ns * blocks


def spread(sinks: Any) -> Any:
    """Return what the delay of a net grows with, for a number of sinks or an array of them; 0 for one sink."""
    return np.cbrt(np.maximum(sinks, 1)) - 1


@dataclass(frozen=True, kw_only=True)
class Delays:
    """A device.

    Parameters
    ----------
    device
        Part and speed grade.
    kinds
        Primitives, by the name of their cell.
    dedicated
        Connections that are not routed.
    wires
        All others.
    error
        By how much a clock may come out too fast, as a fraction of the true one.
    """

    device: str
    kinds: Mapping[str, Kind]
    dedicated: tuple[Dedicated, ...]
    wires: Wires
    error: float

    def with_wires(self, wires: Wires) -> "Delays":
        """Return the same device with other wires."""
        return replace(self, wires=wires)


def load_delays(target: str) -> Delays:
    """Read the delays of a target, one of `TIMED`."""
    return parse_delays(yaml.safe_load((FOLDER / f"timing-{target}.yaml").read_text(encoding="utf-8")))


def parse_delays(values: Mapping[str, Any]) -> Delays:
    """Return the device that a file describes; its delays are multiplied by its ``scale``."""
    scale = values.get("scale", 1.0)
    kinds: dict[str, Kind] = {}
    for name, cell in values["cells"].items():
        kind = Kind(
            name=name,
            through={a: _scaled(pins, scale) for a, pins in cell.get("through", {}).items()},
            clock_to_output=_scaled(cell.get("clock_to_output", {}), scale),
            setup=_scaled(cell.get("setup", {}), scale),
            clocks=frozenset(cell.get("clocks", ())),
            block=cell.get("block", False),
        )
        kinds |= dict.fromkeys(cell["types"], kind)
    return Delays(
        device=values["device"],
        kinds=kinds,
        dedicated=tuple(
            Dedicated(
                source=_pin(rule["from"]), sink=_pin(rule["to"]), ns=rule["ns"] * scale, alone=rule.get("alone", False)
            )
            for rule in values["dedicated"]
        ),
        wires=Wires(**values["wires"]),
        error=values["error"],
    )


def _scaled(pins: Mapping[str, float], scale: float) -> dict[str, float]:
    return {pin: ns * scale for pin, ns in pins.items()}


def _pin(text: str) -> tuple[str, str]:
    kind, _, pin = text.partition(".")
    return kind, pin
