"""Delays of combinational micro-steps, per technology: what the scheduler places registers by.

Figures are estimates, typical routing included, rounded to the cautious side, and not checked against a vendor's timing
analysis. Those of UltraScale+ are sums of the cells and wires in ``constraints/timing-xilinx-us+.yaml``, which static
timing adds up; those of ECP5 are read off paths that were placed and routed; the others are by the authors.
Their purpose is to cut pipelines at sensible places; whether a clock is met, only a synthesis report of the generated
RTL can say.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

SUMMED = 2
"""Bits of an operand up to which a product is a sum."""


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

    def holds(self, a: int, b: int) -> bool:
        """Return whether one block multiplies operands of these bits, the sign included."""
        narrow, wide = sorted((a, b))
        return wide <= self.operands[0] and narrow <= self.operands[1]


@dataclass(frozen=True, kw_only=True)
class Technology:
    """Delays in nanoseconds."""

    name: str
    """What ``technology=`` selects."""
    register_ns: float
    """Clock to output plus set-up and the wire to it, taken from every period."""
    level_ns: float
    """One level of logic: a six-input function (four on ECP5) and its routing."""
    carry_ns: float
    """Each bit of a carry chain."""
    multiply_ns: float
    """An 18 x 18 multiplier; of a `block`, from its input to its output."""
    multiply_bit_ns: float = 0.0
    """Each operand bit beyond that, averaged over the operands; several blocks have a sum behind them instead."""
    chain_ns: float = 0.0
    """The way into a carry chain and out of it, beyond a level."""
    sum_ns: float = 0.0
    """The same of a sum of integers: mappers merge those of a tree, and a register at its end is beside the chain."""
    fanout_ns: float = 0.0
    """Times the cube root of the inputs on a net, beyond the one or few of a level."""
    table_levels: int = 1
    """Levels that a read-only memory has at least: more than one where mappers share the decoding of its address."""
    reset_levels: int = 0
    """Levels in front of a choice among a result and special values, of which mappers make a register's reset."""
    block: DspBlock | None = None
    """What multipliers are made of, if registers can be a part of them."""
    fpga: bool = False
    """Whether it is that of an FPGA, which has one clock."""

    def levels(self, n: float) -> float:
        """``n`` levels of logic."""
        return n * self.level_ns

    def add(self, width: int) -> float:
        """Addition, subtraction or comparison of ``width`` bits."""
        return self.level_ns + self.chain_ns + width * self.carry_ns

    def sum(self, width: int) -> float:
        """Sum of integers, behind which others or a register stand."""
        return self.level_ns + self.sum_ns + width * self.carry_ns

    def select(self, width: int) -> float:
        """Choice between two values of ``width`` bits, which one signal makes for all of them."""
        return self.level_ns + self.fanout_ns * (math.cbrt(width) - 1)

    def table(self, index_bits: int, word_bits: int) -> float:
        """Read-only memory in logic, whose address goes to every bit of the words."""
        beyond = max(0, index_bits - 6)
        return self.levels(max(self.table_levels, 1 + beyond)) + self.fanout_ns * (math.cbrt(word_bits << beyond) - 1)

    def gather(self, inputs: int) -> float:
        """Function such as AND or OR of many bits."""
        return self.level_ns * max(1, math.ceil(math.log(max(inputs, 2), 6)))

    def shift(self, positions: int) -> float:
        """Shift by one of ``positions`` amounts: four-to-one multiplexers."""
        return self.level_ns * max(1, math.ceil(math.log2(max(positions, 2)) / 2))

    def multiply(self, a: int, b: int) -> float:
        """Integer product; operands of a block have a sign."""
        if min(a, b) <= SUMMED:
            return self.add(a + b)
        if self.block is None:
            return self.multiply_ns + max(0, (a + b) / 2 - 18) * self.multiply_bit_ns
        if self.block.holds(a, b):
            return self.multiply_ns
        return self.multiply_ns + self.block.entry_ns + self.add(a + b - self.block.operands[1])

    def multiply_among_logic(self, a: int, b: int) -> float:
        """Integer product whose operands come from logic or whose result goes into some."""
        entry = self.block.entry_ns if self.block and min(a, b) > SUMMED else 0.0
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
    # Sums of ``constraints/timing-xilinx-us+.yaml``, scaled to the KV260's part as there:
    # register: clock to output 0.10, a wire to the input 0.20 and set-up 0.09, what the slowest path has besides 0.23;
    # level: a table 0.11, a wire 0.20, and 0.04 for 32 inputs on it; table_levels: read off paths into the tables
    # of ``exp2`` and ``recip``; reset_levels: off those out of ``finish``;
    # chain: from a table into CARRY4 0.02, to its carry output 0.23, on to the next 0.03, to a sum 0.14; each four bits
    # 0.04; sum: three sums in a row of ``key_dots``, 8 terms, take 1.7 where three chains would take 2.9;
    # block: from input to output 2.22; the wire in takes 0.28 with a few inputs on it, that out 0.08 more than between
    # tables. With all its registers a block runs at 644 MHz.
    Technology(
        name="xilinx-us+",
        register_ns=0.62,
        level_ns=0.35,
        carry_ns=0.011,
        chain_ns=0.42,
        sum_ns=0.05,
        fanout_ns=0.018,
        table_levels=4,
        reset_levels=1,
        multiply_ns=2.22,
        block=DspBlock(operands=(27, 18), entry_ns=0.18, step_ns=0.93),
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
    # Operators between registers, mapped to OSU018 for 100 MHz and timed by OpenSTA with the loads of
    # ``constraints/timing-asic.yaml``: register 0.40 and the wire to it; a choice among two values of 8 bits 0.40, of
    # 32 bits 0.75; sums of 8, 24 and 48 bits 0.99, 1.49 and 1.86; a shift by up to 31 positions 1.84; tables of 64 and
    # 256 words 1.89 and 2.68; products of 18 x 18 and 24 x 24 bits 4.78 and 5.37.
    Technology(
        name="asic",
        register_ns=0.6,
        level_ns=0.60,
        carry_ns=0.030,
        fanout_ns=0.10,
        table_levels=3,
        multiply_ns=4.8,
        multiply_bit_ns=0.10,
    ),
]
TECHNOLOGIES = {technology.name: technology for technology in _ALL}


def find(name: str) -> Technology:
    """Technology of that name."""
    if name not in TECHNOLOGIES:
        raise ValueError(f"technology {name!r} is not known; choose one of {', '.join(TECHNOLOGIES)}.")
    return TECHNOLOGIES[name]
