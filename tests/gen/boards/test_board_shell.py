"""Pins of the board, the flow to a bitstream on a small design, and what a self-test refuses."""

import re
from dataclasses import replace

import pytest
from amaranth.hdl import ClockDomain, Module, Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth_boards.ulx3s import ULX3S_85F_Platform
from rtlm.gen.boards.constraints import board_constraints
from rtlm.gen.common.errors import GenerateError
from rtlm.gen.configuration.load import load_config
from rtlm.gen.package.linked import linked_params
from rtlm.gen.package.selftest import emit_selftest
from rtlm.gen.package.shell import SHELLS, check_shell, pins
from rtlm.gen.rtl.verilog import to_rtlil
from rtlm.gen.synthesis.bitstream import make_bitstream
from rtlm.gen.synthesis.place import PlaceError, Placement
from rtlm.hw.board import Check, Kind, SelfTestParams, Ulx3s
from rtlm.hw.board.ulx3s import CLOCK_HZ

SHELL = SHELLS["ulx3s"]
SDRAM = {"clk": "clk", "cke": "clk_en", "csn": "cs", "rasn": "ras", "casn": "cas", "wen": "we"}
SDRAM_BUSES = {"a": ("a", 13), "ba": ("ba", 2), "dqm": ("dqm", 2), "d": ("dq", 16)}
NAMES = {
    "clk_25mhz": ("clk25", 0, None),
    "ftdi_rxd": ("uart", 0, "tx"),
    "ftdi_txd": ("uart", 0, "rx"),
    "wifi_gpio0": ("esp32", 0, "gpio0"),
    "btn[0]": ("button_pwr", 0, None),
    **{f"btn[{n + 1}]": ("button", n, None) for n in range(6)},
    **{f"led[{n}]": ("led", n, None) for n in range(8)},
    **{f"sdram_{ours}": ("sdram", 0, theirs) for ours, theirs in SDRAM.items()},
    **{
        f"sdram_{ours}[{n}]": ("sdram", 0, theirs, n)
        for ours, (theirs, bits) in SDRAM_BUSES.items()
        for n in range(bits)
    },
}
"""Our ports and the resources of amaranth-boards."""


def resource(name, number, part, bit=0):
    """Pin and attributes of a resource, or of a part of it."""
    found = next(r for r in ULX3S_85F_Platform.resources if (r.name, r.number) == (name, number))
    attributes = dict(found.attrs)
    if part is not None:
        found = next(each for each in found.ios if each.name == part)
        attributes |= found.attrs
    return found.ios[0].names[bit], attributes


def test_pins_are_those_of_the_board():
    name, text = pins(SHELL)
    assert name in board_constraints("ulx3s")
    sites = dict(re.findall(r'^LOCATE COMP "(\S+)" SITE "(\w+)";$', text, re.MULTILINE))
    buffers = dict(re.findall(r'^IOBUF PORT "(\S+)" (.*);$', text, re.MULTILINE))
    assert set(sites) == set(buffers) == set(NAMES)
    for port, place in NAMES.items():
        pin, attributes = resource(*place)
        assert sites[port] == pin, port
        assert dict(each.split("=") for each in buffers[port].split()) == attributes, port
    assert 'FREQUENCY PORT "clk_25mhz" 25 MHZ;' in text and CLOCK_HZ == 25e6
    assert ULX3S_85F_Platform.device == "LFE5U-85F" and ULX3S_85F_Platform.speed == "6"


def test_every_port_of_the_tops_has_a_pin():
    config = load_config(SHELL.sdram_preset)
    linked = SHELL.sdram_component(linked_params(SHELL, config, baud=1_000_000))
    for ports in (Ulx3s.__annotations__, linked.signature.members):
        widths = {name: Shape.cast(member.shape).width for name, member in ports.items()}
        if ports is linked.signature.members:
            widths |= {name: len(pad) for name, pad in linked.pads.items()}
        pins = {f"{name}[{bit}]" if width != 1 else name for name, width in widths.items() for bit in range(width)}
        assert pins <= set(NAMES)


class Blinker(wiring.Component):
    """A counter on the LEDs."""

    clk_25mhz: In(1)
    btn: In(7)
    led: Out(8)

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = sync = ClockDomain()
        count = Signal(24)
        m.d.comb += [sync.clk.eq(self.clk_25mhz), sync.rst.eq(self.btn[1]), self.led.eq(count[-8:])]
        m.d.sync += count.eq(count + 1)
        return m


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.mark.synthesis
def test_a_small_design_becomes_a_bitstream(own_cache):
    options = {"top": "top", "target": "ecp5", "placement": Placement(clock_mhz=25)}
    netlist = to_rtlil(Blinker(), "top")
    first = make_bitstream(netlist, pins=pins(SHELL)[1], **options)
    # A comment with the name of the device comes first, then the preamble (Lattice FPGA-TN-02039).
    assert b"LFE5U-85F" in first.content[:200] and b"\xff\xff\xbd\xb3" in first.content[:300]
    assert first.timing.met and first.timing.clock_mhz == 25
    assert 24 <= first.timing.used["TRELLIS_FF"] <= 32 and first.timing.used["TRELLIS_IO"] >= 10
    again = make_bitstream(netlist, pins=pins(SHELL)[1], **options)
    assert (first.cached, again.cached, again.content) == (False, True, first.content)
    (first.folder / "design.bit").unlink()
    with pytest.raises(GenerateError, match=r"design\.bit is damaged; delete the folder"):
        make_bitstream(netlist, pins=pins(SHELL)[1], **options)
    with pytest.raises(PlaceError, match="led"):
        make_bitstream(netlist, pins=re.sub(".*led.*\n", "", pins(SHELL)[1]), **options)


def test_no_flow_to_a_bitstream_is_a_sentence():
    with pytest.raises(GenerateError, match="no open flow to a bitstream for xilinx-us"):
        make_bitstream("", top="top", target="xilinx-us+", pins="", placement=Placement(clock_mhz=25))
    with pytest.raises(GenerateError, match="speed grade of ecp5 must be one of 6, 7, 8, got 9"):
        make_bitstream("", top="top", target="ecp5", pins="", placement=Placement(clock_mhz=25, speed="9"))


@pytest.mark.parametrize(
    ("preset", "overrides", "sentence"),
    [
        ("ulx3s-selftest", ["clock_mhz=20"], "is for clock_mhz = 20, but the clock of ulx3s has 25 MHz"),
        ("tiny", [], "with the delays of generic, but ulx3s has an ecp5"),
    ],
)
def test_configurations_for_something_else_are_refused(preset, overrides, sentence):
    check_shell(SHELL, load_config("ulx3s-selftest"), SHELL.preset)
    with pytest.raises(GenerateError, match=re.escape(sentence)):
        check_shell(SHELL, load_config(preset, overrides), SHELL.preset)


def test_impossible_self_tests_are_refused():
    params = SelfTestParams(
        accelerator=load_config("ulx3s-selftest").to_params(),
        clock_hz=CLOCK_HZ,
        content=[],
        depth=1 << 17,
        digest_from=0,
        rows=[Check(kind=Kind.END)],
    )
    with pytest.raises(GenerateError, match=r"takes 524288 bytes, but the 208 block memories .* 425984 in all"):
        emit_selftest(SHELL, params)
    with pytest.raises(ValueError, match="baud must be at most the clock's 1000 Hz, got 50000"):
        replace(params, clock_hz=1000.0, baud=50_000)
    with pytest.raises(ValueError, match="2 memory ports"):
        replace(params, accelerator=load_config("tiny").to_params())
    with pytest.raises(ValueError, match=r"has 2\.5e\+07 Hz, not 5e\+07"):
        Ulx3s(replace(params, clock_hz=50e6))
