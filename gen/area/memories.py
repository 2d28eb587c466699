"""What a memory with one write port becomes on UltraScale+: tables, block memories, UltraRAM or registers.

yosys (``memory_libmap``) takes the cheapest of the shapes that its library files state (``lutrams_xcu.txt``,
``brams_xc4v.txt``, ``urams.txt`` in ``share/xilinx``); the shapes and costs here are those of these files.
"""

import math
from dataclasses import dataclass, fields
from functools import cache

MUX_COST = 0.5
"""Cost of a bit of the multiplexer behind memories that together are one deeper memory."""
TABLE_MUX = 3
"""Further inputs that a six-input table adds to a multiplexer, for each bit."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A primitive in one of its shapes.

    Parameters
    ----------
    width, depth
        Bits of a word, and words.
    cost
        What yosys charges for it.
    luts, brams, urams
        What it takes of the device.
    by_bits
        Whether the cost is charged for the bits in use only.
    """

    width: int
    depth: int
    cost: int
    luts: int = 0
    brams: float = 0
    urams: int = 0
    by_bits: bool = False


TABLES = (
    Shape(width=14, depth=32, cost=16, luts=8, by_bits=True),
    Shape(width=7, depth=64, cost=16, luts=8, by_bits=True),
    Shape(width=2, depth=128, cost=16, luts=8, by_bits=True),
    Shape(width=1, depth=256, cost=16, luts=8, by_bits=True),
)
BLOCKS = (
    *(Shape(width=36 >> i, depth=512 << i, cost=129, brams=0.5) for i in range(6)),
    *(Shape(width=72 >> i, depth=512 << i, cost=257, brams=1) for i in range(7)),
)
ULTRA = Shape(width=72, depth=4096, cost=1024, urams=1)


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What a memory takes.

    Parameters
    ----------
    luts
        Tables, with the multiplexer of a deep one.
    ffs
        Registers: tables are read without a clock, so that the register of a clocked read port stands behind them.
    brams, urams
        Block memories of 36 Kbit, UltraRAM.
    """

    luts: float = 0
    ffs: int = 0
    brams: float = 0
    urams: int = 0

    def __add__(self, other: "Memory") -> "Memory":
        return Memory(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})


@cache
def memory(width: int, depth: int, *, clocked: bool = True, block: bool = False, reads: int = 1) -> Memory:
    """Return what a memory takes.

    Parameters
    ----------
    width, depth
        Bits of a word, and words.
    clocked
        Whether it is read with a clock; block memories have no other read port.
    block
        Whether it has to be made of block memories (``ram_style``).
    reads
        Read ports; each is a copy of the memory.
    """
    shapes = BLOCKS if block else (*TABLES, *BLOCKS, ULTRA) if clocked else TABLES
    costs = {shape: _cost(shape, width, depth) for shape in shapes}
    shape = min(costs, key=lambda s: costs[s])
    behind = reads * width if clocked else 0
    if width * depth < reads * costs[shape] and not block:
        return Memory(luts=reads * width * (depth - 1) / TABLE_MUX, ffs=width * depth + behind)
    rows, columns = math.ceil(depth / shape.depth), math.ceil(width / shape.width)
    luts = shape.luts * rows * columns + (rows - 1) * width * MUX_COST
    return Memory(
        luts=reads * luts,
        ffs=behind if shape.luts else 0,
        brams=reads * shape.brams * rows * columns,
        urams=reads * shape.urams * rows * columns,
    )


def _cost(shape: Shape, width: int, depth: int) -> float:
    rows = math.ceil(depth / shape.depth)
    columns = width / shape.width if shape.by_bits else math.ceil(width / shape.width)
    return rows * columns * shape.cost + (rows - 1) * width * MUX_COST
