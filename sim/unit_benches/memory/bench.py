"""Bench of AXI4 reader, AXI4 writer and AXI4-Lite registers: a harness with all three between streams and ports.

The cocotb side is cocotb_tests.py; its peers are those of cocotbext-axi.
"""

import json
from dataclasses import asdict, dataclass, replace

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.memory import AXI4, AXI4Lite, BusFault, ReaderParams, StreamReader, WordWriter, WriterParams, forward
from rtlm.hw.registers import Access, Field, Register, RegisterFile, RegisterMap
from rtlm.sim.unit_benches.bench import Prepared, verilog_text

BENCH_STRIPES = 8
"""Stripes of the memory behind the harness: enough to cross their ends, few enough to be reached everywhere."""

REGISTERS = RegisterMap(
    "bench",
    [
        Register(
            name="CONTROL",
            doc="Commands.",
            offset=0x00,
            access=Access.PULSE,
            fields=(Field(name="start", doc="Start.", offset=0), Field(name="stop", doc="Stop.", offset=9)),
        ),
        Register(
            name="COUNTS",
            doc="How often each command was given.",
            offset=0x08,
            fields=(
                Field(name="start", doc="Starts.", offset=0, bits=16),
                Field(name="stop", doc="Stops.", offset=16, bits=16),
            ),
        ),
        Register(
            name="CONFIG",
            doc="A value with holes.",
            offset=0x10,
            access=Access.READ_WRITE,
            fields=(
                Field(name="low", doc="Low bits.", offset=2, bits=5),
                Field(name="high", doc="High bits.", offset=15, bits=12),
            ),
            reset=0x0123_8014,
        ),
        Register(name="ARRAY", doc="Numbers.", offset=0x40, access=Access.READ_WRITE, count=3, stride=16),
    ],
)


@dataclass(frozen=True, kw_only=True)
class MemoryParams:
    """Sizes of the harness.

    Parameters
    ----------
    reader, writer
        Those of its reader and its writer; ports and words are the same for both.
    """

    reader: ReaderParams
    writer: WriterParams

    @classmethod
    def small(cls, **sizes: int) -> "MemoryParams":
        """Return a harness with small bursts and buffers from ports, port_bits, word_bytes and address_bits."""
        return cls(
            reader=ReaderParams(**sizes, prefetch_words=16384 // sizes["word_bytes"], outstanding=5),
            writer=WriterParams(**sizes, burst_beats=8, outstanding=7),
        )

    @classmethod
    def of_units(cls, reader: ReaderParams, writer: WriterParams) -> "MemoryParams":
        """Return a harness with an accelerator's reader and writer, before a memory of a few stripes."""
        bits = (BENCH_STRIPES * reader.striping.stripe_bytes - 1).bit_length()
        return cls(reader=replace(reader, address_bits=bits), writer=replace(writer, address_bits=bits))

    @classmethod
    def from_json(cls, text: str) -> "MemoryParams":
        """Undo `to_json`."""
        values = json.loads(text)
        return cls(reader=ReaderParams(**values["reader"]), writer=WriterParams(**values["writer"]))

    def to_json(self) -> str:
        """Write the parameters down for the cocotb side."""
        return json.dumps(asdict(self))


SETS = {
    "one_port_two_beats": MemoryParams.small(ports=1, port_bits=64, word_bytes=16, address_bits=16),
    "two_ports_one_beat": MemoryParams.small(ports=2, port_bits=128, word_bytes=32, address_bits=17),
    "four_ports_four_beats": MemoryParams.small(ports=4, port_bits=32, word_bytes=64, address_bits=17),
}
"""Ports, widths and beats of a word in all combinations that differ."""


def prepare(params: MemoryParams) -> Prepared:
    """Return the harness as Verilog and what its cocotb side has to know."""
    text = verilog_text(Harness(params), "harness")
    return Prepared(verilog=text, top="harness", environment={"BENCH_PARAMS": params.to_json()})


class Harness(wiring.Component):
    """Reader and writer on shared ports, and registers beside them.

    Parameters
    ----------
    params : MemoryParams
        Sizes.
    """

    def __init__(self, params: MemoryParams):
        self.reader_params, self.writer_params = reader, writer = params.reader, params.writer
        port = AXI4(address_bits=reader.address_bits, data_bits=reader.port_bits)
        word = stream.Signature(8 * reader.word_bytes)
        super().__init__(
            {
                "i_segments": In(stream.Signature(reader.segment)),
                "o_words": Out(word),
                "o_program": Out(word),
                "i": In(stream.Signature(writer.payload)),
                **{f"m{index}_axi": Out(port) for index in range(reader.ports)},
                "s_axi": In(AXI4Lite()),
                "limit": In(reader.beat_bits + 1),
                "drain": In(1),
                "array": Out(32).array(3),
                **{f"{side}_idle": Out(1) for side in ("reader", "writer")},
                **{f"{side}_error": Out(BusFault) for side in ("reader", "writer")},
                **{event: Out(1) for event in ("beat", "beat_stalled", "starved_credit", "no_segment")},
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Connect them."""
        m = Module()
        m.submodules.reader = reader = StreamReader(self.reader_params)
        m.submodules.writer = writer = WordWriter(self.writer_params)
        m.submodules.registers = registers = RegisterFile(REGISTERS)
        wiring.connect(m, wiring.flipped(self.i_segments), reader.i_segments)
        wiring.connect(m, reader.o_words, wiring.flipped(self.o_words))
        wiring.connect(m, reader.o_program, wiring.flipped(self.o_program))
        wiring.connect(m, wiring.flipped(self.i), writer.i)
        wiring.connect(m, wiring.flipped(self.s_axi), registers.s_axi)
        for index in range(self.reader_params.ports):
            for side in (reader, writer):
                forward(m, getattr(side, f"m{index}_axi"), getattr(self, f"m{index}_axi"))
        for name, side in (("reader", reader), ("writer", writer)):
            m.d.comb += [
                side.limit.eq(self.limit),
                side.drain.eq(self.drain),
                getattr(self, f"{name}_idle").eq(side.idle),
                getattr(self, f"{name}_error").eq(side.error),
            ]
        for event in ("beat", "beat_stalled", "starved_credit", "no_segment"):
            m.d.comb += getattr(self, event).eq(getattr(reader, event))
        for name in ("start", "stop"):
            count = Signal(16, name=f"{name}_count")
            m.d.sync += count.eq(count + registers.control[name])
            m.d.comb += registers.counts[name].eq(count)
        m.d.comb += [out.eq(value) for out, value in zip(self.array, registers.array, strict=True)]
        return m
