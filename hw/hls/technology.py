"""Delays of combinational micro-steps, per technology: what the scheduler places registers by.

Figures are estimates by the authors, typical routing included, rounded to the cautious side: not data-sheet values
and not checked against a vendor's timing analysis; those of ECP5 are read off paths that were placed and routed.
Their purpose is to cut pipelines at sensible places; whether a clock is met, only a synthesis report of the generated
RTL can say.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from amaranth.hdl import Shape


@dataclass(frozen=True, kw_only=True)
class DspBlock:
    """A multiplier with registers of its own: in front, between the product and the sum behind it, and at its output.

    Parameters
    ----------
    operands
        Bits of its two signed operands, the wider one first.
    entry_ns
        Way from a register or a table outside into it, or out of it.
    step_ns
        The product, or the sum behind it, from one of its registers to the next.
    """

    operands: tuple[int, int]
    entry_ns: float
    step_ns: float

    def holds(self, a: Shape, b: Shape) -> bool:
        """Return whether one block multiplies operands of these shapes."""
        narrow, wide = sorted(x.width + (not x.signed) for x in (a, b))
        return wide <= self.operands[0] and narrow <= self.operands[1]


@dataclass(frozen=True, kw_only=True)
class Technology:
    """Delays in nanoseconds."""

    name: str
    """What ``technology=`` selects."""
    register_ns: float
    """Clock to output plus set-up, taken from every period."""
    level_ns: float
    """One level of logic: a six-input function (four on ECP5) and its routing."""
    carry_ns: float
    """Each bit of a carry chain."""
    multiply_ns: float
    """An 18 x 18 multiplier; of a `block`, from its input to its output registers."""
    multiply_bit_ns: float
    """Each operand bit beyond that, averaged over the operands."""
    block: DspBlock | None = None
    """What multipliers are made of, if registers can be a part of them."""
    fpga: bool = False
    """Whether it is that of an FPGA, which has one clock."""

    def levels(self, n: float) -> float:
        """``n`` levels of logic."""
        return n * self.level_ns

    def add(self, width: int) -> float:
        """Addition, subtraction or comparison of ``width`` bits."""
        return self.level_ns + width * self.carry_ns

    def gather(self, inputs: int) -> float:
        """Function such as AND or OR of many bits."""
        return self.level_ns * max(1, math.ceil(math.log(max(inputs, 2), 6)))

    def shift(self, positions: int) -> float:
        """Shift by one of ``positions`` amounts: four-to-one multiplexers."""
        return self.level_ns * max(1, math.ceil(math.log2(max(positions, 2)) / 2))

    def multiply(self, a: int, b: int) -> float:
        """Integer product."""
        narrow, wide = sorted((a, b))
        if narrow <= 2:
            return self.add(a + b)
        one = self.block and wide <= self.block.operands[0] and narrow <= self.block.operands[1]
        return self.multiply_ns + (0.0 if one else max(0, (a + b) / 2 - 18) * self.multiply_bit_ns)

    def multiply_among_logic(self, a: int, b: int) -> float:
        """Integer product whose operands come from logic or whose result goes into some."""
        entry = self.block.entry_ns if self.block and min(a, b) > 2 else 0.0
        return self.multiply(a, b) + 2 * entry

    def multiply_in_tables(self, a: int, b: int) -> float:
        """Integer product without a multiplier: a tree of additions, each of two partial products or their sums."""
        return max(1, math.ceil(math.log2(min(a, b)))) * self.add(a + b)

    def budget(self, clock_mhz: float) -> float:
        """Time for logic between two registers."""
        return 1000 / clock_mhz - self.register_ns


@dataclass(frozen=True, kw_only=True)
class ClockLimit:
    """What bounds the clock of a kernel: its slowest operator that no register can cut.

    Parameters
    ----------
    kernel, operator
        Where it is.
    delay_ns
        Its delay.
    technology
        Whose delays.
    """

    kernel: str
    operator: str
    delay_ns: float
    technology: Technology

    @property
    def clock_mhz(self) -> float:
        """The highest clock at which it fits between two registers, in steps of 0.1 MHz."""
        return math.floor(10_000 / (self.delay_ns + self.technology.register_ns)) / 10

    @property
    def reason(self) -> str:
        """The operator and its delay, for messages."""
        return (
            f"the {self.operator} of kernel {self.kernel} takes {self.delay_ns:.2f} ns, and a register "
            f"{self.technology.register_ns:g} ns"
        )


class ClockError(ValueError):
    """A kernel cannot be scheduled for a clock; the message says which clock can be reached.

    Parameters
    ----------
    limit
        What bounds the clock.
    clock_mhz
        The clock that was asked for.
    """

    def __init__(self, limit: ClockLimit, clock_mhz: float):
        self.limit = limit
        super().__init__(
            f"A clock of {clock_mhz:g} MHz is too fast for technology {limit.technology.name!r}: {limit.reason}, which "
            f"allows {limit.clock_mhz:g} MHz at most; use a slower clock."
        )


_ALL = [
    Technology(name="generic", register_ns=0.5, level_ns=0.45, carry_ns=0.020, multiply_ns=2.2, multiply_bit_ns=0.08),
    # A DSP48E2 of speed grade -1 at 0.85 V runs at 456 MHz without the register between product and sum, and at 645 MHz
    # with it (DS925, DSP48 slice switching characteristics, FMAX_MULT_NOMREG and FMAX); the way in and out is a guess.
    Technology(
        name="xilinx-us+",
        register_ns=0.3,
        level_ns=0.40,
        carry_ns=0.012,
        multiply_ns=2.0,
        multiply_bit_ns=0.08,
        block=DspBlock(operands=(27, 18), entry_ns=0.40, step_ns=1.25),
        fpga=True,
    ),
    # Measured with `rtlm synth --place` (nextpnr, speed grade 6) on units alone: register 0.53 + 0.42; a table 0.24
    # with 0.2 to 1.1 of routing; carry 0.07 for two bits; a multiplier, which has no registers here, 3.9 with 3 to 4 of
    # routing on either side, and additions of 2.5 where several multipliers make a wider product. To that comes half
    # as much for tables and registers, and a fifth for multipliers: a whole accelerator fills two thirds of a device.
    Technology(
        name="ecp5",
        register_ns=1.5,
        level_ns=1.80,
        carry_ns=0.060,
        multiply_ns=12.0,
        multiply_bit_ns=1.00,
        fpga=True,
    ),
    Technology(name="asic", register_ns=0.6, level_ns=0.55, carry_ns=0.050, multiply_ns=4.2, multiply_bit_ns=0.06),
]
TECHNOLOGIES = {technology.name: technology for technology in _ALL}


def find(name: str) -> Technology:
    """Technology of that name."""
    if name not in TECHNOLOGIES:
        raise ValueError(f"technology {name!r} is not known; choose one of {', '.join(TECHNOLOGIES)}.")
    return TECHNOLOGIES[name]
