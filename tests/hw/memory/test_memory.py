"""Striping, parameter checks and register maps, without a simulator of gates."""

import gc
import random
import re
import shutil
import subprocess

import numpy as np
import pytest
from amaranth.hdl import Const, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from rtlm.hw.memory import AXI4, AXI4Lite, AXI4Read, AXI4Write, ReaderParams, Striping, WriterParams
from rtlm.hw.registers import Access, Field, Register, RegisterAccess, RegisterFile, RegisterMap

SHAPES = [(1, 4), (1, 16), (1, 64), (2, 8), (2, 16), (2, 64), (4, 1), (4, 16), (8, 32), (4, 128)]


def documented_address(striping, beat, port):
    """Word for word the formula of docs/architecture.md."""
    ports, port_bytes = striping.ports, striping.port_bytes
    b = min(256, 4096 // port_bytes)
    return (beat // b) * ports * b * port_bytes + port * b * port_bytes + (beat % b) * port_bytes


@pytest.mark.parametrize(("ports", "port_bytes"), SHAPES)
def test_striping_follows_the_documented_formula(ports, port_bytes, seed):
    striping = Striping(ports=ports, port_bytes=port_bytes)
    rng = random.Random(seed)
    beats = 3 * striping.burst_beats
    chosen = [0, 1, striping.burst_beats - 1, striping.burst_beats, beats - 1] + [
        rng.randrange(beats) for _ in range(20)
    ]
    image = np.random.default_rng(seed).integers(0, 256, beats * striping.beat_bytes, dtype=np.uint8)
    physical = striping.scatter(image)
    for beat in chosen:
        for port in range(ports):
            address = documented_address(striping, beat, port)
            assert striping.byte_address(beat, port) == address
            start = beat * striping.beat_bytes + port * port_bytes
            assert (physical[address : address + port_bytes] == image[start : start + port_bytes]).all()
    assert (striping.gather(physical) == image).all()


@pytest.mark.parametrize(("ports", "port_bytes"), SHAPES)
def test_short_images_are_filled_up_with_zeros(ports, port_bytes):
    striping = Striping(ports=ports, port_bytes=port_bytes)
    for size in (0, striping.beat_bytes, striping.stripe_bytes + striping.beat_bytes, 5):
        image = np.full(size, 255, dtype=np.uint8)
        physical = striping.scatter(image)
        assert physical.size % striping.stripe_bytes == 0
        linear = striping.gather(physical)
        assert (linear[:size] == 255).all() and not linear[size:].any()


def test_addresses_in_hardware(seed):
    class Addresses(wiring.Component):
        def __init__(self):
            super().__init__({"beat": In(20), **{f"o{n}": Out(40) for n in range(20)}})
            self.cases = [(Striping(ports=p, port_bytes=b), port) for p, b in SHAPES for port in {0, p - 1}]

        def elaborate(self, platform):
            m = Module()
            for n, (striping, port) in enumerate(self.cases):
                m.d.comb += getattr(self, f"o{n}").eq(striping.byte_address_value(self.beat, port))
            return m

    unit = Addresses()
    rng = random.Random(seed)

    async def check(ctx):
        for beat in [0, (1 << 20) - 1] + [rng.randrange(1 << 20) for _ in range(50)]:
            ctx.set(unit.beat, beat)
            await ctx.delay(1e-9)
            for n, (striping, port) in enumerate(unit.cases):
                assert ctx.get(getattr(unit, f"o{n}")) == documented_address(striping, beat, port)

    simulator = Simulator(unit)
    simulator.add_testbench(check)
    simulator.run()


def test_striping_refuses():
    with pytest.raises(ValueError, match="ports must be a power of two, got 3"):
        Striping(ports=3, port_bytes=16)
    with pytest.raises(ValueError, match="port_bytes must be a power of two from 1 to 128, got 12"):
        Striping(ports=2, port_bytes=12)
    with pytest.raises(ValueError, match="port_bytes must be a power of two from 1 to 128, got 256"):
        Striping(ports=2, port_bytes=256)
    with pytest.raises(ValueError, match="an image of 100 bytes does not consist of stripes"):
        Striping(ports=2, port_bytes=16).gather(np.zeros(100, dtype=np.uint8))


@pytest.mark.parametrize("params", [ReaderParams, WriterParams])
def test_masters_refuse(params):
    good = {"ports": 2, "port_bits": 128}
    params(**good)
    for change, sentence in (
        ({"port_bits": 96}, "data_bits of AXI4 must be a power of two from 8 to 1024, got 96"),
        ({"address_bits": 8}, "address_bits of AXI4 must be from 12 to 64, got 8"),
        ({"ports": 6}, "ports must be a power of two, got 6"),
        ({"word_bytes": 48}, "a word of 48 bytes does not consist of beats of 32 bytes"),
        ({"word_bytes": 96}, "beats_per_word must be a power of two.*, got 3"),
        ({"outstanding": 0}, "outstanding must be at least 1, got 0"),
    ):
        with pytest.raises(ValueError, match=sentence):
            params(**{**good, **change})


def test_reader_and_writer_refuse_sizes():
    with pytest.raises(ValueError, match="prefetch_words must be a power of two, at least 512, got 128"):
        ReaderParams(ports=1, port_bits=128, prefetch_words=64 * 2, word_bytes=16)
    with pytest.raises(ValueError, match="prefetch_words must be a power of two, at least 128, got 500"):
        ReaderParams(ports=1, port_bits=128, prefetch_words=500)
    with pytest.raises(ValueError, match="beats_per_word must be a power of two from 1 to 256, got 512"):
        ReaderParams(ports=1, port_bits=8, word_bytes=512)
    with pytest.raises(
        ValueError, match="burst_beats with ports of 1024 bits must be a power of two from 1 to 32, got 64"
    ):
        WriterParams(ports=1, port_bits=1024, word_bytes=128, burst_beats=64)


def test_full_port_has_the_members_of_both_halves():
    widths = {"address_bits": 32, "data_bits": 128}
    both = {**dict(AXI4Read(**widths).members), **dict(AXI4Write(**widths).members)}
    assert dict(AXI4(**widths).members) == both
    assert set(AXI4Lite().members) >= {"awaddr", "wstrb", "bresp", "araddr", "rresp", "rready"}


BUSY = Field(name="busy", doc="A step is running.", offset=0)
CODE = Field(name="code", doc="Why it stopped.", offset=4, bits=3)


def example_map():
    return RegisterMap(
        "chip",
        [
            Register(name="TOKEN", doc="Column's token.", offset=0x100, access=Access.READ_WRITE, count=4, stride=32),
            Register(name="STATUS", doc="State.", offset=0x8, fields=(BUSY, CODE)),
            Register(name="LIMIT", doc="End of memory.", offset=0x10, access=Access.READ_WRITE, reset=0xFFFF),
            Register(name="CONTROL", doc="Commands.", offset=0, access=Access.PULSE, fields=(BUSY,)),
        ],
    )


def test_register_addresses_and_fields():
    registers = example_map()
    assert [register.name for register in registers.registers] == ["CONTROL", "STATUS", "LIMIT", "TOKEN"]
    assert registers.address("TOKEN", 3) == 0x160
    assert registers.size == 0x164
    assert registers["STATUS"].decode(0b1010_0001) == {"busy": 1, "code": 2}
    assert registers["STATUS"].encode(code=5, busy=1) == 0b101_0001
    with pytest.raises(IndexError, match=r"TOKEN\[4\] does not exist"):
        registers.address("TOKEN", 4)
    with pytest.raises(KeyError, match="has no register 'NOTHING'"):
        registers["NOTHING"]
    with pytest.raises(KeyError, match="STATUS has no field 'nothing'"):
        registers["STATUS"].encode(nothing=1)
    with pytest.raises(ValueError, match="8 does not fit field 'code'"):
        registers["STATUS"].encode(code=8)


def test_register_access_by_name():
    store = {}
    access = RegisterAccess(example_map(), lambda offset: store.get(offset, 0), store.__setitem__)
    access.write("TOKEN", 99, 2)
    access.write_fields("CONTROL", busy=1)
    store[0x8] = 0x31
    assert store == {0x140: 99, 0: 1, 0x8: 0x31}
    assert access.read("TOKEN", 2) == 99
    assert access.read_fields("STATUS") == {"busy": 1, "code": 3}
    with pytest.raises(ValueError, match="register STATUS can only be read"):
        access.write("STATUS", 1)
    with pytest.raises(ValueError, match="-1 does not fit the 32 bits of register LIMIT"):
        access.write("LIMIT", -1)


def test_register_documents(tmp_path):
    registers = example_map()
    table = registers.markdown()
    assert "| `0x0100` + 32 · n | `TOKEN[4]` | read/write | 31:0 |  | Column's token. |" in table
    assert "| `0x0010` | `LIMIT` | read/write | 31:0 |  | End of memory. Reset: 0xffff. |" in table
    assert "|  |  |  | 6:4 | `code` | Why it stopped. |" in table
    assert all(line.count("|") == 7 for line in table.splitlines())
    header = registers.c_header()
    assert re.search(r"#define CHIP_STATUS_CODE_MASK 0x00000070u", header)
    compiler = shutil.which("gcc") or shutil.which("cc") or shutil.which("g++")
    if compiler is None:
        pytest.skip("no C compiler")
    (tmp_path / "registers.h").write_text(header)
    (tmp_path / "use.c").write_text(
        '#include "registers.h"\n'
        "int at[CHIP_TOKEN(3) == 0x160 && CHIP_STATUS_CODE_SHIFT == 4 && CHIP_TOKEN_COUNT == 4 ? 1 : -1];\n"
    )
    subprocess.run([compiler, "-Wall", "-Werror", "-c", "use.c"], cwd=tmp_path, check=True)


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: Field(name="Busy", doc="", offset=0), "a field cannot be called 'Busy'"),
        (lambda: Field(name="wide", doc="", offset=30, bits=3), "field 'wide' of 3 bits at bit 30 does not lie in 32"),
        (lambda: Register(name="low", doc="", offset=0), "a register cannot be called 'low'"),
        (lambda: Register(name="ODD", doc="", offset=6), "register ODD cannot be at 0x6"),
        (lambda: Register(name="NEAR", doc="", offset=0, count=2, stride=2), "registers NEAR cannot be 2 bytes apart"),
        (lambda: Register(name="NONE", doc="", offset=0, count=0), "count of NONE must be at least 1, got 0"),
        (lambda: Register(name="FIXED", doc="", offset=0, reset=1), "register FIXED cannot have a reset value"),
        (
            lambda: Register(name="SEEN", doc="", offset=0, locked=True),
            "register SEEN cannot be locked: its access is read",
        ),
        (lambda: Register(name="BIG", doc="", offset=0, reset=1 << 32), "reset value 4294967296 of register BIG"),
        (
            lambda: Register(name="TWICE", doc="", offset=0, fields=(BUSY, BUSY)),
            "field 'busy' of register TWICE",
        ),
        (
            lambda: Register(name="HOLE", doc="", offset=0, access=Access.READ_WRITE, fields=(BUSY,), reset=2),
            "reset value 0x2 of register HOLE sets bits outside its fields",
        ),
        (
            lambda: RegisterMap("x", [Register(name="A", doc="", offset=0), Register(name="A", doc="", offset=4)]),
            "register map 'x' has two registers of the same name",
        ),
        (
            lambda: RegisterMap(
                "x", [Register(name="A", doc="", offset=0, count=3), Register(name="B", doc="", offset=8)]
            ),
            "registers A and B both lie at 0x8",
        ),
    ],
)
def test_register_definitions_refuse(build, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        build()


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_register_file_refuses_a_map_that_is_too_large():
    registers = RegisterMap("x", [Register(name="FAR", doc="", offset=0x1000)])
    with pytest.raises(ValueError, match="register map 'x' takes 4100 bytes, too many for 12 address bits"):
        RegisterFile(registers, address_bits=12)
    gc.collect()  # the unfinished component warns when it goes, which must be in here


def test_byte_address_of_a_constant():
    striping = Striping(ports=2, port_bytes=16)
    assert len(striping.byte_address_value(Const(0, striping.beat_bits(32)), 1)) == 32
