"""Clock and reset of what stands around an accelerator."""

from collections.abc import Mapping

from amaranth.hdl import ClockDomain, Module, Signal, Value
from amaranth.lib import cdc

RESET_CYCLES = 256
"""Length of the reset after configuration, and after a button that asks for one."""

DOMAIN = "board"
POWER_DOMAIN = "power"
"""Clock domains of everything around the accelerator, with reset and without; the accelerator makes its own, whose
names must not be those of a domain above it."""


def add_board_clock(m: Module, clock: Value, again: Value, **others: Value) -> Mapping[str, Signal]:
    """Make both domains, with a reset after configuration and after a button.

    Parameters
    ----------
    m
        Where.
    clock
        The clock.
    again
        The button, asynchronous, 1 when pressed.
    **others
        Further buttons, each with a width of its own.

    Returns
    -------
    dict
        The further buttons, synchronous.
    """
    board, power = ClockDomain(DOMAIN, local=True), ClockDomain(POWER_DOMAIN, local=True, reset_less=True)
    m.domains += [board, power]
    m.d.comb += [board.clk.eq(clock), power.clk.eq(clock)]
    synchronous = {}
    for name, button in others.items():
        synchronous[name] = Signal(len(button), name=name)
        m.submodules[name] = cdc.FFSynchronizer(button, synchronous[name], o_domain=POWER_DOMAIN)
    pressed = Signal(name="again")
    m.submodules.again = cdc.FFSynchronizer(again, pressed, o_domain=POWER_DOMAIN)
    left = Signal(range(RESET_CYCLES), init=RESET_CYCLES - 1)
    with m.If(pressed):
        m.d[POWER_DOMAIN] += left.eq(RESET_CYCLES - 1)
    with m.Elif(left != 0):
        m.d[POWER_DOMAIN] += left.eq(left - 1)
    m.d[POWER_DOMAIN] += board.rst.eq(left != 0)
    return synchronous
