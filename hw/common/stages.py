"""Registers of a pipeline's stage."""

from typing import Any

from amaranth.hdl import Module, Signal, Value


def held_flag(m: Module, flag: Value, name: str = "valid") -> Signal:
    """Return a flag one cycle later; it is low after reset."""
    held = Signal(name=name)
    m.d.sync += held.eq(flag)
    return held


def registered(m: Module, value: Any, name: str) -> Any:
    """Return a value one cycle later: a register, without reset, of the value's shape."""
    later = Signal(value.shape(), name=name, reset_less=True)
    m.d.sync += later.eq(value)
    return later


def held_value(m: Module, enable: Value, value: Any, name: str) -> Any:
    """Return a value as it was when `enable` was last high: a register, without reset, of the value's shape."""
    held = Signal(value.shape(), name=name, reset_less=True)
    with m.If(enable):
        m.d.sync += held.eq(value)
    return held
