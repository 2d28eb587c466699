"""The scripts for Vivado: names against Verilog, IP-XACT and product guides; run with stand-ins where there is Tcl."""

import json
import random
import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from lxml import etree
from rtlm.gen.boards.constraints import FOLDER, board_constraints
from rtlm.gen.boards.devices import DEVICES
from rtlm.gen.configuration.load import load_config
from rtlm.gen.configuration.schema import BOARDS
from rtlm.gen.package.handover import accelerator_package
from rtlm.gen.package.vivado import System, system, vivado_files
from rtlm.gen.package.vivado.card import CARDS, parts
from rtlm.gen.package.vivado.parts import Parts
from rtlm.gen.package.vivado.wrapper import CONSTANTS, block_design_wrapper
from rtlm.gen.package.vivado.zynq import MEMORY_BASE, BehindLinux
from rtlm.host.boards.address import BoardAddress
from rtlm.hw.memory import Striping
from rtlm.hw.registers.accelerator import register_map

from tests.gen.package.tcl_reader import calls, words
from tests.gen.package.test_handover import lint
from tests.gen.package.vivado_design import design
from tests.gen.package.vivado_ips import PORT

pytestmark = pytest.mark.slow

AMD = [board for board, device in DEVICES.items() if device.part]
STAND_INS = Path(__file__).parent / "vivado_stand_ins.tcl"
IPXACT = {"i": "http://www.accellera.org/XMLSchema/IPXACT/1685-2014"}

needs_tclsh = pytest.mark.skipif(shutil.which("tclsh") is None, reason="there is no tclsh")


def make(folder, board, *overrides):
    config = load_config("tiny", [f"board={board}", *overrides])
    accelerator_package(config, {}).write(folder)
    return folder


@pytest.fixture(scope="module", params=AMD)
def board(request):
    return request.param


@pytest.fixture(scope="module")
def folder(board, tmp_path_factory):
    return make(tmp_path_factory.mktemp(board), board)


@pytest.fixture(scope="module")
def ports(tmp_path_factory):
    """The ports of tiny, from which those of every configuration follow."""
    manifest = make(tmp_path_factory.mktemp("ports"), "kv260") / "manifest.json"
    return json.loads(manifest.read_text())["ports"]


def ports_of(config, ports):
    """Ports of a configuration: tiny's first memory port in its width, as often as it has one."""
    data, address = config.memory.port_bits, config.memory.address_bits
    first = [port for port in ports if port["name"].startswith("m0_")]
    widths = {"rdata": data, "wdata": data, "wstrb": data // 8, "araddr": address, "awaddr": address}
    signal = {port["name"]: re.split("_+", port["name"])[-1] for port in first}
    return [port for port in ports if not re.match(r"m\d+_", port["name"])] + [
        port | {"name": port["name"].replace("m0_", f"m{n}_"), "bits": widths.get(signal[port["name"]], port["bits"])}
        for n in range(config.memory.ports)
        for port in first
    ]


def run(folder, *modes, setup="0.1", hold="0.1", boards=None):
    """Exit code, calls of Vivado's commands, and standard error."""
    if boards is None:
        boards = " ".join(f"{device.vivado_board}:{n}" for device in DEVICES.values() for n in ("1.9", "1.10"))
    command = ["tclsh", STAND_INS, folder / "vivado" / "build.tcl", setup, hold, boards, *modes]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    called = re.findall("\x02(.*?)\x03", done.stdout, re.DOTALL)
    return done.returncode, [call.split("\x1f") for call in called], done.stderr


def calls_of(called, name):
    return [arguments for each, *arguments in called if each == name]


def test_parts_are_those_of_the_constraints():
    for board in AMD:
        (text,) = board_constraints(board).values()
        assert re.match(r"# .*, part ([\w-]+)\.", text)[1] == DEVICES[board].part


def test_braces_are_balanced(folder):
    text = (folder / "vivado" / "build.tcl").read_text()
    assert "@" not in text
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for opening, closing in ("{}", "[]"):
        depth = 0
        for character in code:
            depth += (character == opening) - (character == closing)
            assert depth >= 0
        assert depth == 0


@needs_tclsh
def test_the_clock_decides_the_exit_code(folder):
    for mode in ("alone", "system"):
        assert run(folder, mode)[0] == 0
        assert run(folder, mode, setup="-0.001")[0] == 1
        assert run(folder, mode, hold="-0.001")[0] == 1
    assert run(folder)[1] == run(folder, "alone")[1]
    code, _, said = run(folder, "all")
    assert code == 2 and "must be one of alone system, got all" in said


@needs_tclsh
def test_the_accelerator_alone(board, folder):
    _, called, _ = run(folder)
    part = DEVICES[board].part
    assert calls_of(called, "create_project") == [["-force", "tiny", str(folder / "vivado" / "alone"), "-part", part]]
    assert calls_of(called, "synth_design") == [["-top", "accelerator", "-part", part, "-mode", "out_of_context"]]
    assert all(Path(arguments[-1]).is_file() for arguments in calls_of(called, "add_files"))
    order = [name for name, *_ in called if name.endswith("_design") or name.startswith("report_")]
    assert order == [
        *("synth_design", "opt_design", "place_design", "phys_opt_design", "route_design"),
        *("report_timing_summary", "report_utilization", "report_power"),
    ]
    assert not calls_of(called, "write_bitstream")


@needs_tclsh
def test_tcl_makes_the_block_design_that_is_checked_without_it(board, folder):
    """And says what is missing, and makes a bitstream where the clock is met."""
    _, called, _ = run(folder, "system")
    read = calls((folder / "vivado" / "build.tcl").read_text(), "create_system", folder=str(folder / "vivado"))
    made = [call for call in called if call[0] in {name for name, *_ in read} and "_bd_" in call[0]]
    assert [list(map(words, call)) for call in made] == [list(map(words, call)) for call in read if "_bd_" in call[0]]
    assert all(Path(arguments[-1]).is_file() for arguments in calls_of(called, "add_files")[:-1])
    assert f"{DEVICES[board].vivado_board}:1.10" in [arguments[1] for arguments in calls_of(called, "set_property")]
    assert calls_of(called, "write_bitstream") and not calls_of(run(folder, "system", setup="-1")[1], "write_bitstream")
    assert bool(calls_of(called, "write_hw_platform")) == (board not in CARDS)
    code, _, said = run(folder, "system", boards="")
    assert code == 1 and f"{DEVICES[board].vivado_board} is missing" in said


def texts(folder):
    return {f"vivado/{path.name}": path.read_text() for path in (folder / "vivado").iterdir()}


def test_the_system_has_the_interfaces_of_verilog_and_ipxact(folder):
    found = design(texts(folder))
    document = etree.parse(str(folder / "component.xml"))
    interfaces = document.xpath("//i:busInterface/i:name/text()", namespaces=IPXACT)
    ends = [end.removeprefix("accelerator/") for end in found.partners if end.startswith("accelerator/")]
    assert sorted(ends) == sorted(interfaces)
    size = int(document.xpath("string(//i:addressBlock/i:range)", namespaces=IPXACT).removeprefix("'h"), 16)
    (registers,) = (entry for entry in found.addresses if entry[1] == "accelerator/s_axi/reg0")
    assert register_map(1).size <= size <= registers[3]


def test_attributes_name_the_ports_of_ipxact(folder):
    text = (folder / "vivado" / "accelerator_bd.v").read_text()
    found = {port: info.split()[1:] for info, _, _, _, port in re.findall(PORT, text)}
    document = etree.parse(str(folder / "component.xml"))
    expected = {"clk": ["clk", "CLK"], "rst": ["rst", "RST"], "irq": ["irq", "INTERRUPT"]}
    for bus in document.xpath("//i:busInterface", namespaces=IPXACT):
        name = bus.xpath("string(i:name)", namespaces=IPXACT)
        for entry in bus.xpath(".//i:portMap", namespaces=IPXACT):
            logical, physical = entry.xpath(".//i:name/text()", namespaces=IPXACT)
            expected[physical] = [name, logical]
    beside = {port: role for port, role in found.items() if port not in expected}
    assert {port: role for port, role in found.items() if port in expected} == expected
    # What AXI has beside the accelerator's signals, for each of its memory ports: constants, in the widths of IHI 0022.
    masters = [role[0] for role in expected.values() if role[1] == "WDATA" and role[0] != "s_axi"]
    assert sorted(map(tuple, beside.values())) == sorted(
        (bus, f"{channel}{name.upper()}") for bus in masters for channel in ("AR", "AW") for name in CONSTANTS
    )
    for port in beside:
        name = next(name for name in CONSTANTS if port.endswith(name))
        bits = {"lock": 1, "cache": 4, "prot": 3, "qos": 4}[name]
        assert re.search(rf"output +wire +{re.escape(f'[{bits - 1}:0]') if bits > 1 else ''} +{port}\b", text)
        assert f"assign {port} = {bits}'b{'0011' if name == 'cache' else '0' * bits};" in text


def test_the_verilog_beside_the_scripts_is_lint_clean(folder, tmp_path):
    """Around a module that has the accelerator's ports and nothing else."""
    inner = json.loads((folder / "manifest.json").read_text())["ports"]
    declarations = ",\n".join(f"{port['direction']} wire [{port['bits'] - 1}:0] {port['name']}" for port in inner)
    (tmp_path / "inner.v").write_text(
        "/* verilator lint_off UNDRIVEN */ /* verilator lint_off UNUSEDSIGNAL */\n"
        "/* verilator lint_off DECLFILENAME */\n"
        f"module accelerator({declarations});\nendmodule\n"
    )
    for path in (folder / "vivado").glob("*.v"):
        more = [str(tmp_path / "inner.v")] if path.stem == "accelerator_bd" else []
        code, said = lint(folder, str(path), *more, top=path.stem)
        assert code == 0, said[:2000]


def test_memory_begins_behind_that_of_linux(ports):
    """In each address of each port, also where the accelerator has fewer bits of it."""
    addresses = {port["name"] for port in ports if re.fullmatch(r"m\d+_axi_+a[rw]addr", port["name"])}
    assert len(addresses) == 4
    for bits, whole in ((32, r"(\w+)"), (28, r"\{4'b0, (\w+)\}"), (40, r"(\w+)")):
        changed = [port | {"bits": bits} if port["name"] in addresses else port for port in ports]
        text = block_design_wrapper("accelerator", changed, BehindLinux())
        assert f"parameter [63:0] MEMORY_BASE = 64'h{MEMORY_BASE:x}" in text
        sums = dict(re.findall(rf"wire \[{max(bits, 32) - 1}:0\] (\w+)_whole = {whole};", text))
        assert sums.keys() == addresses
        for name, inner in sums.items():
            assert f"assign {name} = {name}_whole + MEMORY_BASE[{max(bits, 32) - 1}:0];" in text
            assert f"wire [{bits - 1}:0] {inner};" in text and f".{name}({inner})" in text
            assert re.search(rf"output wire +\[{max(bits, 32) - 1}:0\] {name}\b", text)


def value(expression, signals):
    """Value of a concatenation of slices in Verilog."""
    total = 0
    for name, high, low in re.findall(r"(\w+)\[(\d+):(\d+)\]", expression):
        bits = int(high) - int(low) + 1
        total = total << bits | (signals[name] >> int(low)) & ((1 << bits) - 1)
    return total


@pytest.mark.parametrize(("ports", "port_bits"), [(1, 512), (2, 128), (4, 512), (16, 512), (16, 256)])
def test_each_port_of_a_card_has_a_part_of_the_memory(ports, port_bits):
    """Word for word of the stripes, from the part's beginning on; nothing is reached twice."""
    random.seed(ports)
    striping, where = Striping(ports=ports, port_bytes=port_bits // 8), Parts(ports, 29)
    expression = where.address("a", where.all_bits)
    for _ in range(200):
        port, beat = random.randrange(ports), random.randrange((1 << 29) // striping.port_bytes)
        place = value(expression, {"a": striping.byte_address(beat, port)})
        assert place == (port << 29) + beat * striping.port_bytes
    address = random.randrange(1 << where.all_bits)
    assert value(expression, {"a": address}) % 4096 == address % 4096


PRESETS = [
    ("kv260", []),
    ("zcu104", []),
    ("u250", []),
    ("u280", []),
    ("tiny", ["board=u250"]),
    ("tiny", ["board=u280"]),
]
PRESETS += [("kv260", ["memory.port_bits=64", "matmul.lanes=64", "memory.prefetch_kib=64"])]


@pytest.mark.parametrize(("preset", "overrides"), PRESETS)
def test_names_clocks_and_addresses_of_the_system(preset, overrides, ports):
    config = load_config(preset, overrides)
    files = vivado_files(config, "accelerator", ports_of(config, ports), register_map(1), "x.v")
    found = design(files)
    mhz = f"{config.clock_mhz:g}"
    memory = config.memory
    for number in range(memory.ports):
        assert f"accelerator/m{number}_axi" in found.partners
    if system(config) is System.ZYNQ:
        settings = found.settings["ps"]
        assert settings["PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ"] == mhz
        assert [found.partners[f"accelerator/m{n}_axi"] for n in range(memory.ports)] == [
            f"ps/S_AXI_HP{n}_FPD" for n in range(memory.ports)
        ]
        for n in range(memory.ports):
            assert settings[f"PSU__USE__S_AXI_GP{n + 2}"] == "1"
            assert settings[f"PSU__SAXIGP{n + 2}__DATA_WIDTH"] == str(memory.port_bits)
        assert found.spaces == [(f"accelerator/m{n}_axi", f"ps/SAXIGP{n + 2}/HP{n}_DDR_*") for n in range(memory.ports)]
        assert found.addresses == [("ps/Data", "accelerator/s_axi/reg0", 0xA000_0000, 0x1000)]
        assert set(found.drivers.values()) >= {"ps/pl_clk0"} and found.drivers["ps/pl_ps_irq0"] == "accelerator/irq"
        return
    assert found.settings["clocks"]["CLKOUT1_REQUESTED_OUT_FREQ"] == mhz
    assert found.drivers["accelerator/clk"] == "clocks/clk_out1"
    assert found.drivers["host/irq"] == "accelerator/irq" and found.drivers["xdma/usr_irq_req"] == "host/usr_irq"
    check_interconnects(found)
    check_addresses(found, config)


def check_interconnects(found):
    """Each has as many interfaces and clocks as it says, and the clocks of what is at its ends."""
    for cell, kind in found.kinds.items():
        if kind != "smartconnect":
            continue
        ends = {end.partition("/")[2]: other for end, other in found.partners.items() if end.startswith(f"{cell}/")}
        clocks = {pin: source for pin, source in found.drivers.items() if pin.startswith(f"{cell}/aclk")}
        settings = found.settings[cell]
        assert len(clocks) == int(settings["NUM_CLKS"]) == len(set(clocks.values())), cell
        assert set(clocks) == {f"{cell}/aclk{n or ''}" for n in range(len(clocks))}
        for role, key in (("S", "NUM_SI"), ("M", "NUM_MI")):
            own = sorted(end for end in ends if end.startswith(role))
            assert own == [f"{role}{n:02}_AXI" for n in range(int(settings[key]))], cell
        for other in ends.values():
            # An HBM interface has its own clock.
            own = found.drivers.get(re.sub(r"SAXI_(\d\d)", r"AXI_\1_ACLK", other))
            assert ({own} if own else found.clock_of(other)) & set(clocks.values()), (cell, other)


def check_addresses(found, config):
    """The DMA, and the driver's defaults, see the memory that the ports see."""
    where = parts(config)
    spaces = {}
    for space, segment, offset, size in found.addresses:
        assert offset % size == 0
        spaces.setdefault(space, []).append((offset, size, segment))
    for entries in spaces.values():
        ends = sorted((offset, offset + size) for offset, size, _ in entries)
        assert all(first[1] <= second[0] for first, second in pairwise(ends))
    defaults = BoardAddress.parse("xdma:/dev/xdma0")
    assert spaces["xdma/M_AXI_LITE"][0] == (defaults.number("registers"), 0x1000, "accelerator/s_axi/reg0")
    assert all(offset + size <= 1 << 20 for offset, size, _ in spaces["xdma/M_AXI_LITE"])
    assert found.settings["xdma"]["axilite_master_size"] == "1"
    assert spaces["xdma/M_AXI"] == [(defaults.base, 1 << where.all_bits, "host/s_axi/reg0")]
    blocks = {(offset, re.sub(r"SAXI_\d\d/", "", segment)) for offset, _, segment in spaces["host/m_axi"]}
    assert sum(size for _, size, _ in spaces["host/m_axi"]) == 1 << where.all_bits
    own = [spaces[f"accelerator/m{n}_axi"] for n in range(config.memory.ports)]
    for number, entries in enumerate(own):
        assert min(entries)[0] == number << where.part_bits
        assert sum(size for _, size, _ in entries) == 1 << where.part_bits
        for offset, size, segment in entries:
            # A pseudo channel has its place (PG276).
            if channel := re.search(r"HBM_MEM(\d\d)$", segment):
                assert (offset, size) == (int(channel[1]) << 28, 1 << 28)
            assert (offset, re.sub(r"SAXI_\d\d/", "", segment)) in blocks
            # The way from the port to the memory.
            last = found.partners[f"memory_{number}/M00_AXI"]
            assert found.partners[f"accelerator/m{number}_axi"] == f"memory_{number}/S00_AXI"
            assert last in (segment.rpartition("/")[0], f"{segment.partition('/')[0]}/C0_DDR4_S_AXI")
    assert {(offset, segment.rpartition("/")[2]) for entries in own for offset, _, segment in entries} == {
        (offset, segment.rpartition("/")[2]) for offset, _, segment in spaces["host/m_axi"]
    }


@pytest.mark.parametrize(
    ("preset", "overrides", "kind"),
    [
        ("kv260", [], System.ZYNQ),
        ("zcu104", [], System.ZYNQ),
        ("u250", [], System.CARD),
        ("u280", [], System.CARD),
        ("tiny", ["board=u250"], System.CARD),
        ("tiny", ["board=u250", "memory.address_bits=36"], None),
        ("tiny", ["board=u280", "memory.address_bits=34"], None),
        ("tiny", ["board=u280", "memory.port_bits=64", "matmul.lanes=64"], None),
        ("u250", ["memory.ports=8", "matmul.lanes=1024", "memory.prefetch_kib=256"], None),
        ("kv260", ["memory.port_bits=256", "matmul.lanes=256", "memory.prefetch_kib=128"], None),
        ("kv260", ["memory.ports=8", "matmul.lanes=256", "memory.prefetch_kib=128"], None),
        ("tiny", [], None),
    ],
)
def test_a_system_needs_memory_for_each_port(preset, overrides, kind):
    assert system(load_config(preset, overrides)) == kind


def test_constraints_are_for_ports_that_there_are(board, ports):
    """Those of the board for ports of the block design; the clock's for the accelerator's."""
    config = load_config("tiny", [f"board={board}"])
    files = vivado_files(config, "accelerator", ports, register_map(1), "x.v")
    found = design(files)
    there = set()
    for name, kind in found.ports.items():
        there |= {f"{name}_clk_p", f"{name}_clk_n"} if kind[1] == "diff_clock_rtl:1.0" else {name}
    constraints = [Path(name).name for name in found.constraints]
    assert constraints[0] == f"{board}.xdc" and (FOLDER / constraints[0]).is_file()
    for name in constraints:
        text = files.get(f"vivado/{name}") or (FOLDER / name).read_text()
        named = re.findall(r"get_ports \{?(\w+)", text)
        assert set(named) <= there, name
        for register in re.findall(r"/(\w+)_reg/D", text):
            assert re.search(rf"reg {register};", files["vivado/card_host.v"])
    assert "create_clock -name clk -period 10.000 [get_ports clk]" in files["vivado/clock.xdc"]
    assert re.findall(r"get_ports (\w+)", files["vivado/clock.xdc"]) == ["clk"]
    # Every port that no board file has pins for has its own.
    pins = {"pcie_perstn", "pci_express_x16", "pcie_refclk"}
    pins |= {name for name in found.ports if re.fullmatch(r"ddr4_sdram_c\d|default_300mhz_clk\d", name)}
    text = (FOLDER / f"{board}.xdc").read_text()
    assert all(name in text for name in found.ports if name not in pins)


def test_boards_without_an_amd_device_have_no_script(tmp_path):
    assert set(AMD) < set(BOARDS)
    assert not (make(tmp_path, "ulx3s") / "vivado").exists()
