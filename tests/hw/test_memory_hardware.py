"""Reader, writer and registers in Verilator against cocotbext-axi slaves; the benches are in test_memory_cocotb.py."""

import os
import pathlib
import sys

import pytest
from amaranth.back import verilog
from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner
from rtlm.hw.memory import (
    AXI4,
    Access,
    AXI4Lite,
    BusFault,
    Field,
    ReaderParams,
    Register,
    RegisterFile,
    RegisterMap,
    StreamReader,
    WordWriter,
    WriterParams,
    forward,
)
from rtlm.sim.verilator import find_verilator

SEED = 20261121
HERE = pathlib.Path(__file__).parent

CASES = {
    "one_port_two_beats": {"ports": 1, "port_bits": 64, "word_bytes": 16, "address_bits": 16},
    "two_ports_one_beat": {"ports": 2, "port_bits": 128, "word_bytes": 32, "address_bits": 17},
    "four_ports_four_beats": {"ports": 4, "port_bits": 32, "word_bytes": 64, "address_bits": 17},
}
"""Ports, widths and beats of a word in all combinations that differ; memories small enough to be reached everywhere."""

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


def case_params(case):
    """Give reader and writer parameters of a case."""
    sizes = CASES[case]
    reader = ReaderParams(**sizes, prefetch_words=16384 // sizes["word_bytes"], outstanding=5)
    return reader, WriterParams(**sizes, burst_beats=8, outstanding=7)


class Harness(wiring.Component):
    """Reader and writer on shared ports, and registers beside them."""

    def __init__(self, case):
        self.reader_params, self.writer_params = reader, writer = case_params(case)
        sizes = CASES[case]
        port = AXI4(address_bits=sizes["address_bits"], data_bits=sizes["port_bits"])
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

    def elaborate(self, platform):
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


@pytest.mark.parametrize("case", CASES)
def test_memory_in_verilator(tmp_path, monkeypatch, case):
    verilator = find_verilator()
    for name, value in verilator.environment:
        monkeypatch.setenv(name, value)
    # cocotb looks for the program by its name.
    monkeypatch.setenv("PATH", os.pathsep.join([str(pathlib.Path(verilator.command[-1]).parent), os.environ["PATH"]]))
    source = tmp_path / "harness.v"
    source.write_text(verilog.convert(Harness(case), name="harness", emit_src=False, strip_internal_attrs=True))
    runner = get_runner("verilator")
    runner.build(
        sources=[source],
        hdl_toplevel="harness",
        build_dir=tmp_path / "build",
        build_args=["-Wno-fatal", "-Wno-CASEINCOMPLETE", "-Wno-WIDTHEXPAND", "-Wno-WIDTHTRUNC", "-O3"],
    )
    print(f"seed {SEED}")
    results = runner.test(
        hdl_toplevel="harness",
        test_module="test_memory_cocotb",
        build_dir=tmp_path / "build",
        test_dir=tmp_path,
        extra_env={
            "MEMORY_CASE": case,
            "MEMORY_SEED": str(SEED),
            "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path]),
        },
    )
    tests, failures = get_results(pathlib.Path(results))
    assert tests and not failures
