"""Activation banks: the two vectors (for each column) that matrix products read and epilogues write in turn."""

from amaranth.hdl import Cat, Module, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from rtlm.hw.common.checks import check_range
from rtlm.hw.common.layouts import CODE_BITS, SCALE_BITS
from rtlm.hw.formats import BLOCK
from rtlm.hw.matmul.params import ACTIVATION_LAYOUT, SUM_BITS

BANKS = 2
ONE = 0x3F800000
"""1.0 as F32 bits."""


def block_write_layout(columns: int, max_k_blocks: int) -> data.StructLayout:
    """Return the layout of one block on its way into a bank."""
    return data.StructLayout(
        {
            "bank": 1,
            "column": max(1, (columns - 1).bit_length()),
            "block": max(1, (max_k_blocks - 1).bit_length()),
            "last_column": 1,
            "a": data.ArrayLayout(signed(CODE_BITS), BLOCK),
            "s": unsigned(SCALE_BITS),
            "suma": signed(SUM_BITS),
        }
    )


def vector_scale_layout(columns: int) -> data.StructLayout:
    """Return the layout of a column's scalar."""
    return data.StructLayout({"column": max(1, (columns - 1).bit_length()), "last_column": 1, "r": 32})


class ActivationRead(wiring.Signature):
    """Read side of the banks, seen from the matrix unit.

    `enable` with `bank` and `block` gives `data` (one block of every column) in the next cycle, where it holds until
    the next read. `count` says how many blocks of each bank are valid in all columns; `r` and `r_valid` are the
    scalars of bank 0 (those of bank 1 are 1.0, always valid).
    """

    def __init__(self, columns: int, max_k_blocks: int):
        super().__init__(
            {
                "enable": Out(1),
                "bank": Out(1),
                "block": Out(max(1, (max_k_blocks - 1).bit_length())),
                "data": In(data.ArrayLayout(ACTIVATION_LAYOUT, columns)),
                "count": In(data.ArrayLayout(max_k_blocks.bit_length(), BANKS)),
                "r": In(data.ArrayLayout(32, columns)),
                "r_valid": In(1),
            }
        )


class ActivationBanks(wiring.Component):
    """Two banks of quantised activation vectors, one vector a column, with valid counts and the RMS scalars.

    Protocol: the blocks of a column are written in ascending order, and the last active column's block last among the
    blocks of that number (`last_column`), so that `count` of a bank is the number of blocks of the last column. A pulse
    on `clear` empties a bank (its count, and for bank 0 the scalars); the sequencer gives it when it dispatches the
    instruction that will write the bank. Writes are always taken.

    Latency: a written block can be read in the following cycle; read data come one cycle after `read.enable`.

    Throughput: one block written and one block of every column read in a cycle.

    Parameters
    ----------
    columns
        Vectors in a bank, 1 to 8.
    max_k_blocks
        Blocks of the longest vector.

    Ports
    -----
    i_write
        A block: bank, column, block, last_column, 32 codes, BF16 scale without sign, sum of the 32.
    i_scale
        The scalar of a column of bank 0 as F32 bits, that of the last active column last.
    clear
        Empty a bank (one bit each).
    read
        Read side, see `ActivationRead`.
    """

    def __init__(self, *, columns: int, max_k_blocks: int):
        check_range("columns", columns, 1, 8)
        check_range("max_k_blocks", max_k_blocks, 1, 65535)
        self._columns = columns
        self._max_k_blocks = max_k_blocks
        super().__init__(
            {
                "i_write": In(stream.Signature(block_write_layout(columns, max_k_blocks), always_ready=True)),
                "i_scale": In(stream.Signature(vector_scale_layout(columns), always_ready=True)),
                "clear": In(BANKS),
                "read": In(ActivationRead(columns, max_k_blocks)),
            }
        )

    def elaborate(self, platform) -> Module:
        """Build memories, counts and scalars."""
        m = Module()
        write = self.i_write.payload
        depth = BANKS << len(write.block)
        payload_a = Cat(value for value in (write.a[k] for k in range(BLOCK)))
        payload_scale = Cat(write.s, write.suma)
        read_address = Cat(self.read.block, self.read.bank)
        for c in range(self._columns):
            # Values and scales apart: a simulator moves the scales in a register.
            out = self.read.data[c]
            for name, payload, ports in (
                ("values", payload_a, [out.a]),
                ("scales", payload_scale, [out.s, out.suma]),
            ):
                memory = Memory(shape=unsigned(len(payload)), depth=depth, init=[])
                m.submodules[f"{name}_{c}"] = memory
                w, r = memory.write_port(), memory.read_port()
                m.d.comb += [
                    w.en.eq(self.i_write.valid & (write.column == c)),
                    w.addr.eq(Cat(write.block, write.bank)),
                    w.data.eq(payload),
                    r.en.eq(self.read.enable),
                    r.addr.eq(read_address),
                    Cat(ports).eq(r.data),
                ]

        counts = [Signal(len(self.read.count[b]), name=f"count_{b}") for b in range(BANKS)]
        for b, count in enumerate(counts):
            with m.If(self.i_write.valid & write.last_column & (write.bank == b)):
                m.d.sync += count.eq(count + 1)
            with m.If(self.clear[b]):
                m.d.sync += count.eq(0)
            m.d.comb += self.read.count[b].eq(count)

        valid = Signal()
        scale = self.i_scale.payload
        for c in range(self._columns):
            r = Signal(32, name=f"r_{c}", reset_less=True)
            with m.If(self.i_scale.valid & (scale.column == c)):
                m.d.sync += r.eq(scale.r)
            m.d.comb += self.read.r[c].eq(r)
        with m.If(self.i_scale.valid & scale.last_column):
            m.d.sync += valid.eq(1)
        with m.If(self.clear[0]):
            m.d.sync += valid.eq(0)
        m.d.comb += self.read.r_valid.eq(valid)
        return m
