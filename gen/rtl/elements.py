"""Counts of flip-flops, look-up tables, multipliers and memories, estimated from Amaranth's netlist without synthesis.

The netlist (RTLIL) states every register, operator and memory with its width. Memories follow `rtlm.gen.area.memories`;
registers are exact up to what synthesis removes: delays of three cycles and more become shift registers, and tables
that are read with a clock have a register behind them. Look-up tables and DSP blocks follow `LUT_RULES` and
`dsp_blocks`, for six-input tables and 27 x 18 multipliers. Synthesis shares and simplifies: these are estimates, and
reports call them so. ``benchmarks/area_model.py`` measures the error against yosys; docs/synthesis.md publishes it. For
an accelerator `rtlm.gen.area` is closer, and needs no netlist.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields

from rtlm.gen.area.coefficients import coefficients
from rtlm.gen.area.memories import Memory, memory
from rtlm.gen.area.pipelines import LONGEST_SHIFT, SHORTEST_SHIFT
from rtlm.hw.common import mac

LUT_INPUTS = 6
ROM_DEPTH = 1 << LUT_INPUTS
"""Words of a read-only memory of which a table holds a bit."""
SMALL_PRODUCT = 16
"""Multipliers with at most this many partial product bits become tables."""


@dataclass(frozen=True, kw_only=True)
class Elements:
    """What a part of the design is made of.

    Parameters
    ----------
    luts, ffs, dsps, brams
        Estimated six-input tables, flip-flops, 27 x 18 multipliers and 36 Kbit memories.
    memory_bits
        Memory bits in the netlist.
    multipliers
        Multipliers in the netlist.
    """

    luts: float = 0
    ffs: float = 0
    dsps: int = 0
    brams: float = 0
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
    width = min(cell["Y_WIDTH"], cell["A_WIDTH"])
    # A constant that is shifted is a function of the distance: a table for each bit.
    return width * stages / 2 if cell["A"] else width


def _reduce(cell: Mapping[str, int]) -> float:
    return math.ceil((cell["A"] - 1) / (LUT_INPUTS - 1))


LUT_RULES: dict[str, tuple[str, Callable[[Mapping[str, int]], float]]] = {
    # Carry chains: a table for each bit.
    **{k: ("sum", lambda c: min(c["Y_WIDTH"], max(c["A"], c["B"]))) for k in ("$add", "$sub")},
    "$neg": ("sum", lambda c: c["A"]),
    # Comparisons: two bits of both operands in a table.
    **{k: ("comparison", lambda c: max(c["A"], c["B"]) / 2) for k in ("$lt", "$le", "$gt", "$ge")},
    **{k: ("equality", lambda c: (c["A"] + c["B"]) / LUT_INPUTS) for k in ("$eq", "$ne")},
    # Two-input logic and multiplexers: about two of them end up in one table. Constant inputs simplify away.
    **{k: ("logic", lambda c: min(c["A"], c["B"]) / 2) for k in ("$and", "$or", "$xor")},
    "$mux": ("multiplexer", lambda c: (c["A"] + c["B"]) / 4),
    **{k: ("reduction", _reduce) for k in ("$reduce_and", "$reduce_or", "$reduce_xor", "$reduce_bool")},
    # Barrel shifters: two stages of multiplexers in a table.
    **{k: ("left shift", _shift) for k in ("$shl", "$sshl")},
    **{k: ("right shift", _shift) for k in ("$shr", "$sshr")},
    **{k: ("selection", _shift) for k in ("$shift", "$shiftx")},
}
"""Class and tables for each cell type, from its widths and from ``A`` and ``B``, the operands' bits that are no
constants. What synthesis leaves of a class is fitted (`netlist_factors`)."""
CHOICE, REGISTER_CHOICE, PRODUCT = "choice", "register choice", "product"
"""Classes of what processes choose, for wires and for registers, and of products in tables."""
LUT_CLASSES = sorted({name for name, _ in LUT_RULES.values()} | {CHOICE, REGISTER_CHOICE, PRODUCT})

_NUMBER = re.compile(r"\\([A-Z_]+) (\d+)$")
_ASSIGN = re.compile(r"assign (\S+) \[(\d+)(?::(\d+))?\] (.*)")
_OPERAND = re.compile(r"connect \\([AB]) (.*)")
_LITERAL = re.compile(r"(?<![\w$\\])(\d+)'[01xz-]")
_CONSTANT = re.compile(r"\d+'[01x]*$")
_WHOLE = re.compile(r"(\\\S+) \[(\d+)(?::0)?\]$")
_OWN_MENTIONS = 4
"""Places that name a register in a delay: its wire, its flip-flop, its hold, and the one register that it feeds."""


def count_elements(rtlil: str) -> dict[str, Elements]:
    """Count the elements of each module of a netlist, by hierarchical name (``top.unit.part``).

    Parameters
    ----------
    rtlil
        Text from `rtlm.gen.rtl.verilog.to_rtlil`.
    """
    return {name: module.elements(netlist_factors()) for name, module in count_modules(rtlil)}


def count_modules(rtlil: str) -> Iterator[tuple[str, "ModuleCounts"]]:
    """Yield the counts of each module of a netlist before synthesis, by hierarchical name."""
    name, body = "", list[str]()
    for line in rtlil.splitlines():
        if line.startswith("module "):
            name, body = line.removeprefix("module ").lstrip("\\"), []
        elif line == "end":
            yield name, ModuleCounts(body)
        else:
            body.append(line.strip())


def netlist_factors() -> dict[str, float]:
    """Return what synthesis leaves of each class of tables, and of the registers (`ffs`), as fitted."""
    return coefficients()["netlist"]


def by_unit(modules: Mapping[str, Elements]) -> dict[str, Elements]:
    """Add modules up to the top's direct parts; what lies in the top itself is called ``top``."""
    units: dict[str, Elements] = {}
    for name, elements in modules.items():
        parts = name.split(".")
        unit = parts[1] if len(parts) > 1 else "top"
        units[unit] = units.get(unit, Elements()) + elements
    return units


class ModuleCounts:
    """Counts of one module, from its lines.

    Parameters
    ----------
    body
        Lines between ``module`` and ``end``, without leading spaces.

    Attributes
    ----------
    luts
        Tables by class, before synthesis.
    """

    def __init__(self, body: list[str]) -> None:
        self.body = body
        self.luts: defaultdict[str, float] = defaultdict(float)
        self.dsps = self.multipliers = 0
        self.choices: Counter[str] = Counter()
        self.constants: Counter[str] = Counter()
        self.registers: dict[str, tuple[str, int]] = {}
        """Name and width of each register, by the value that it takes."""
        self.copies: dict[str, tuple[str, tuple[str, ...]]] = {}
        """What a value copies, if nothing else, and under which conditions."""
        self.memories: dict[str, tuple[int, int]] = {}
        self.written: set[str] = set()
        self.reads: Counter[str] = Counter()
        self.asynchronous: set[str] = set()
        lines = iter(body)
        for line in lines:
            if line.startswith("memory "):
                words = line.split()
                self.memories[words[-1]] = (int(words[2]), int(words[4]))
            elif line.startswith("cell $"):
                self._cell(line.split()[1], lines)
            elif line.startswith(f"cell \\{mac.MODULE} "):
                self.multipliers += 1
                self.dsps += 1
            elif line.startswith("process "):
                self._process(lines)
        self._count_choices()

    def _cell(self, kind: str, lines: Iterable[str]) -> None:
        """Take a cell with its parameters."""
        values: dict[str, int] = {}
        place = data = output = ""
        constants: dict[str, int] = {}
        for text in lines:
            if text == "end":
                break
            if text.startswith("parameter "):
                if match := _NUMBER.search(text):
                    values[match[1]] = int(match[2])
                elif "MEMID" in text:
                    place = text.split('"')[1].replace("\\\\", "\\")
            elif text.startswith("connect \\D "):
                data = text.split()[2]
            elif text.startswith("connect \\Q "):
                output = text.split()[2]
            elif match := _OPERAND.match(text):
                constants[match[1]] = sum(int(bits) for bits in _LITERAL.findall(match[2]))
        for operand, constant in constants.items():
            values[operand] = max(0, values.get(f"{operand}_WIDTH", values.get("WIDTH", 0)) - constant)
        if kind == "$dff":
            self.registers[data] = (output, values["WIDTH"])
        elif kind == "$mul":
            self.multipliers += 1
            blocks = dsp_blocks(values["A"], values["B"], bool(values["A_SIGNED"]))
            self.dsps += blocks
            self.luts[PRODUCT] += 0 if blocks else values["A"] * values["B"]
        elif kind == "$memrd_v2":
            self.reads[place] += 1
            if not values["CLK_ENABLE"]:
                self.asynchronous.add(place)
        elif kind == "$memwr_v2":
            self.written.add(place)
        elif kind in LUT_RULES:
            name, rule = LUT_RULES[kind]
            self.luts[name] += rule(values)

    def _process(self, lines: Iterable[str]) -> None:
        """Take a process: each assignment under a condition is one more input of a multiplexer."""
        conditions: list[str] = []
        case = ""
        for text in lines:
            if text.startswith("switch "):
                conditions.append(text)
            elif text.startswith("case"):
                case = text
            elif text == "end":
                if not conditions:
                    break
                conditions.pop()
            elif conditions and (match := _ASSIGN.match(text)):
                target = match[1]
                fixed = _CONSTANT.match(match[4])
                count = self.constants if fixed else self.choices
                # A second assignment makes the first one no mere copy.
                source = "" if target in self.copies or fixed or not (found := _WHOLE.match(match[4])) else found[1]
                self.copies[target] = (source, (*conditions, case))
                count[target] += int(match[2]) - int(match[3] or match[2]) + 1

    def _count_choices(self) -> None:
        """Count the multiplexers that processes describe.

        A flip-flop has its first condition (clock enable) and its constants (set, reset) built in.
        """
        for name in self.choices.keys() | self.constants.keys():
            choices = self.choices[name]
            if name in self.registers:
                self.luts[REGISTER_CHOICE] += max(0, choices - self.registers[name][1]) / 2
            else:
                self.luts[CHOICE] += (choices + self.constants[name]) / 2

    def delays(self) -> tuple[int, int]:
        """Return flip-flops, and tables that are shift registers: copies of copies that nothing else reads."""
        width = dict(self.registers.values())
        copies = {output: self.copies[data] for data, (output, _) in self.registers.items() if data in self.copies}
        condition = {output: conditions for output, (_, conditions) in copies.items()}
        source = {output: before for output, (before, _) in copies.items() if width.get(before) == width[output]}
        mentions: Counter[str] = Counter()
        wanted = set(source.values())
        for line in self.body:
            mentions.update(word for word in line.split() if word in wanted)
        after = {
            before: output
            for output, before in source.items()
            if mentions[before] == _OWN_MENTIONS and condition.get(before) == condition[output]
        }
        ffs = tables = 0
        for output in width.keys() - after.values():
            length = 1
            last = output
            while last in after:
                length, last = length + 1, after[last]
            if length < SHORTEST_SHIFT:
                ffs += length * width[output]
            else:
                tables += math.ceil(length / LONGEST_SHIFT) * width[output]
        return ffs, tables

    def elements(self, factors: Mapping[str, float]) -> Elements:
        """Add up.

        Parameters
        ----------
        factors
            What synthesis leaves of each class of tables and of the registers, see `netlist_factors`.
        """
        ffs, shifts = self.delays()
        kept = self.kept()
        return Elements(
            luts=shifts + kept.luts + sum(factors[name] * tables for name, tables in self.luts.items()),
            ffs=kept.ffs + factors["ffs"] * ffs,
            dsps=self.dsps,
            brams=kept.brams,
            memory_bits=sum(width * depth for width, depth in self.memories.values()),
            multipliers=self.multipliers,
        )

    def kept(self) -> Memory:
        """Return what the memories take together."""
        total = Memory()
        for name, (width, depth) in self.memories.items():
            if name in self.written:
                ports = max(1, self.reads[name])
                total += memory(width, depth, clocked=name not in self.asynchronous, reads=ports)
            else:
                total += Memory(luts=math.ceil(depth / ROM_DEPTH) * width)
        return total
