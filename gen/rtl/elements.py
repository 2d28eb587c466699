"""Counts of flip-flops, look-up tables, multipliers and memories, estimated from Amaranth's netlist without synthesis.

The netlist (RTLIL) states every register, operator and memory with its width. Flip-flop bits and memory bits are exact
up to what synthesis removes; look-up tables and DSP blocks follow `LUT_RULES` and `dsp_blocks`, for six-input
tables and 27 x 18 multipliers. Synthesis shares and simplifies: these are estimates, and reports call them so.
``benchmarks/area_model.py`` measures the error against yosys; docs/synthesis.md publishes it.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields

LUT_INPUTS = 6
LUTRAM_DEPTH = 32
LUTRAM_WIDTH = 1.75
"""A table holds 1.75 bits of 32 words: eight of them make a memory of 32 x 14 bits."""
BRAM_BITS = 36 * 1024
BRAM_WIDTH = 72
"""Widest port of a 36 Kbit block used with one read and one write port."""
SMALL_MEMORY_BITS = 8192
SMALL_MEMORY_DEPTH = 64
"""Memories up to this size or depth, or read without a clock, become tables."""
SMALL_PRODUCT = 16
"""Multipliers with at most this many partial product bits become tables."""


@dataclass(frozen=True, kw_only=True)
class Elements:
    """What a part of the design is made of.

    Parameters
    ----------
    luts, dsps, brams
        Estimated six-input tables, 27 x 18 multipliers and 36 Kbit memories.
    ffs, memory_bits
        Flip-flops and memory bits in the netlist.
    multipliers
        Multipliers in the netlist.
    """

    luts: float = 0
    ffs: int = 0
    dsps: int = 0
    brams: int = 0
    memory_bits: int = 0
    multipliers: int = 0

    def __add__(self, other: "Elements") -> "Elements":
        return Elements(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    def to_json(self) -> dict[str, int]:
        """Return plain numbers; tables are rounded."""
        return {name: round(value) for name, value in asdict(self).items()}


def dsp_blocks(a_bits: int, b_bits: int, signed: bool) -> int:
    """Return the multipliers of 27 x 18 bits (signed) that a product takes; 0 where tables are cheaper."""
    narrow, wide = sorted((a_bits, b_bits))
    if narrow * wide <= SMALL_PRODUCT:
        return 0
    spare = 0 if signed else 1
    return math.ceil(narrow / (18 - spare)) * math.ceil(wide / (27 - spare))


def _shift(cell: Mapping[str, int]) -> float:
    # Amaranth widens left shifts by the largest amount and cuts the result later; about the operand's width is used.
    stages = min(cell["B"], math.ceil(math.log2(cell["A_WIDTH"] + 1)))
    return min(cell["Y_WIDTH"], cell["A_WIDTH"]) * stages / 2


def _reduce(cell: Mapping[str, int]) -> float:
    return math.ceil((cell["A"] - 1) / (LUT_INPUTS - 1))


LUT_RULES: dict[str, Callable[[Mapping[str, int]], float]] = {
    # Carry chains: a table for each bit.
    **{k: lambda c: min(c["Y_WIDTH"], max(c["A"], c["B"])) for k in ("$add", "$sub")},
    "$neg": lambda c: c["A"],
    # Comparisons: two bits of both operands in a table.
    **{k: lambda c: max(c["A"], c["B"]) / 2 for k in ("$lt", "$le", "$gt", "$ge")},
    **{k: lambda c: (c["A"] + c["B"]) / LUT_INPUTS for k in ("$eq", "$ne")},
    # Two-input logic and multiplexers: about two of them end up in one table. Constant inputs simplify away.
    **{k: lambda c: min(c["A"], c["B"]) / 2 for k in ("$and", "$or", "$xor")},
    "$mux": lambda c: (c["A"] + c["B"]) / 4,
    **{k: _reduce for k in ("$reduce_and", "$reduce_or", "$reduce_xor", "$reduce_bool")},
    # Barrel shifters: two stages of multiplexers in a table.
    **{k: _shift for k in ("$shl", "$shr", "$sshl", "$sshr", "$shift", "$shiftx")},
}
"""Tables for each cell type, from its widths and from ``A`` and ``B``, the operands' bits that are no constants."""

_NUMBER = re.compile(r"\\([A-Z_]+) (\d+)$")
_ASSIGN = re.compile(r"assign (\S+) \[(\d+)(?::(\d+))?\] (.*)")
_OPERAND = re.compile(r"connect \\([AB]) (.*)")
_LITERAL = re.compile(r"(?<![\w$\\])(\d+)'[01xz-]")
_CONSTANT = re.compile(r"\d+'[01x]*$")


def count_elements(rtlil: str) -> dict[str, Elements]:
    """Count the elements of each module of a netlist, by hierarchical name (``top.unit.part``).

    Parameters
    ----------
    rtlil
        Text from `rtlm.gen.rtl.verilog.to_rtlil`.
    """
    modules: dict[str, Elements] = {}
    name, lines = "", iter(rtlil.splitlines())
    counter = _Module()
    for line in lines:
        text = line.strip()
        if text.startswith("module "):
            name, counter = text.removeprefix("module ").lstrip("\\"), _Module()
        elif text.startswith("memory "):
            counter.memory(text)
        elif text.startswith("cell $"):
            counter.cell(text.split()[1], lines)
        elif text.startswith("process "):
            counter.process(lines)
        elif line == "end":
            modules[name] = counter.elements()
    return modules


def by_unit(modules: Mapping[str, Elements]) -> dict[str, Elements]:
    """Add modules up to the top's direct parts; what lies in the top itself is called ``top``."""
    units: dict[str, Elements] = {}
    for name, elements in modules.items():
        parts = name.split(".")
        unit = parts[1] if len(parts) > 1 else "top"
        units[unit] = units.get(unit, Elements()) + elements
    return units


class _Module:
    """Counts of one module while it is read."""

    def __init__(self) -> None:
        self.luts, self.ffs, self.dsps, self.multipliers = 0.0, 0, 0, 0
        self.choices: dict[str, int] = {}
        self.constants: dict[str, int] = {}
        self.registers: dict[str, int] = {}
        self.memories: dict[str, tuple[int, int]] = {}
        self.asynchronous: set[str] = set()

    def memory(self, text: str) -> None:
        """Take ``memory width W size N \\name``."""
        words = text.split()
        self.memories[words[-1]] = (int(words[2]), int(words[4]))

    def cell(self, kind: str, lines: Iterable[str]) -> None:
        """Take a cell with its parameters."""
        values: dict[str, int] = {}
        memory = data = ""
        constants: dict[str, int] = {}
        for line in lines:
            text = line.strip()
            if text == "end":
                break
            if text.startswith("parameter "):
                if match := _NUMBER.search(text):
                    values[match[1]] = int(match[2])
                elif "MEMID" in text:
                    memory = text.split('"')[1].replace("\\\\", "\\")
            elif text.startswith("connect \\D "):
                data = text.split()[2]
            elif match := _OPERAND.match(text):
                constants[match[1]] = sum(int(bits) for bits in _LITERAL.findall(match[2]))
        for operand, constant in constants.items():
            values[operand] = max(0, values.get(f"{operand}_WIDTH", values.get("WIDTH", 0)) - constant)
        if kind in ("$dff", "$adff", "$dffe", "$sdff"):
            self.ffs += values["WIDTH"]
            self.registers[data] = self.registers.get(data, 0) + values["WIDTH"]
        elif kind == "$mul":
            self.multipliers += 1
            blocks = dsp_blocks(values["A"], values["B"], bool(values["A_SIGNED"]))
            self.dsps += blocks
            self.luts += 0 if blocks else values["A"] * values["B"]
        elif kind == "$memrd_v2" and not values["CLK_ENABLE"]:
            self.asynchronous.add(memory)
        elif kind in LUT_RULES:
            self.luts += LUT_RULES[kind](values)

    def process(self, lines: Iterable[str]) -> None:
        """Take a process: each assignment under a condition is one more input of a multiplexer."""
        depth = 0
        for line in lines:
            text = line.strip()
            if text.startswith("switch "):
                depth += 1
            elif text == "end":
                if not depth:
                    break
                depth -= 1
            elif depth and (match := _ASSIGN.match(text)):
                count = self.constants if _CONSTANT.match(match[4]) else self.choices
                count[match[1]] = count.get(match[1], 0) + int(match[2]) - int(match[3] or match[2]) + 1

    def _choice_luts(self) -> float:
        """Tables of the multiplexers that processes describe.

        A flip-flop has its first condition (clock enable) and its constants (set, reset) built in.
        """
        total = 0.0
        for name in self.choices.keys() | self.constants.keys():
            choices = self.choices.get(name, 0)
            if name in self.registers:
                total += max(0, choices - self.registers[name]) / 2
            else:
                total += (choices + self.constants.get(name, 0)) / 2
        return total

    def elements(self) -> Elements:
        """Add up."""
        luts, brams = self.luts + self._choice_luts(), 0
        for name, (width, depth) in self.memories.items():
            if name in self.asynchronous or width * depth <= SMALL_MEMORY_BITS or depth <= SMALL_MEMORY_DEPTH:
                luts += math.ceil(depth / LUTRAM_DEPTH) * width / LUTRAM_WIDTH
            else:
                brams += math.ceil(width / BRAM_WIDTH) * math.ceil(depth / (BRAM_BITS // BRAM_WIDTH))
        return Elements(
            luts=luts,
            ffs=self.ffs,
            dsps=self.dsps,
            brams=brams,
            memory_bits=sum(width * depth for width, depth in self.memories.values()),
            multipliers=self.multipliers,
        )
