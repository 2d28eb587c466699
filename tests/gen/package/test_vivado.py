"""The script for Vivado, run with stand-ins for its commands; names against Verilog and IP-XACT."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from lxml import etree
from rtlm.gen.boards.constraints import board_constraints
from rtlm.gen.boards.devices import DEVICES
from rtlm.gen.configuration.load import load_config
from rtlm.gen.configuration.schema import BOARDS
from rtlm.gen.package.handover import accelerator_package
from rtlm.gen.package.vivado import MEMORY_BASE, block_design_wrapper, has_system
from rtlm.hw.registers.accelerator import register_map

from tests.gen.package.test_handover import lint

pytestmark = pytest.mark.slow

AMD = [board for board, device in DEVICES.items() if device.part]
STAND_INS = Path(__file__).parent / "vivado_stand_ins.tcl"
IPXACT = {"i": "http://www.accellera.org/XMLSchema/IPXACT/1685-2014"}
PORT = r'\(\* X_INTERFACE_INFO = "(.*?)".*?\*\)\s+(?:input|output) +wire(?: +\[\d+:0\])? +(\w+)'

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


def run(folder, *modes, setup="0.1", hold="0.1", boards=None):
    """Exit code, calls of Vivado's commands, and standard error."""
    if boards is None:
        boards = " ".join(f"{device.vivado_board}:{n}" for device in DEVICES.values() for n in ("1.9", "1.10"))
    command = ["tclsh", STAND_INS, folder / "vivado" / "build.tcl", setup, hold, boards, *modes]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    return done.returncode, [line.split("\x1f") for line in done.stdout.splitlines()], done.stderr


def calls_of(calls, name):
    return [arguments for called, *arguments in calls if called == name]


def of_accelerator(names):
    return [name.removeprefix("accelerator/") for name in names if name.startswith("accelerator/")]


def modes(board):
    return ["alone", "system"] if DEVICES[board].vivado_board else ["alone"]


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
def test_the_clock_decides_the_exit_code(board, folder):
    for mode in modes(board):
        assert run(folder, mode)[0] == 0
        assert run(folder, mode, setup="-0.001")[0] == 1
        assert run(folder, mode, hold="-0.001")[0] == 1
    assert run(folder)[1] == run(folder, "alone")[1]
    code, _, said = run(folder, "all")
    assert code == 2 and f"must be one of {' '.join(modes(board))}, got all" in said


@needs_tclsh
def test_the_accelerator_alone(board, folder):
    _, calls, _ = run(folder)
    part = DEVICES[board].part
    assert calls_of(calls, "create_project") == [["-force", "tiny", str(folder / "vivado" / "alone"), "-part", part]]
    assert calls_of(calls, "synth_design") == [["-top", "accelerator", "-part", part, "-mode", "out_of_context"]]
    assert all(Path(arguments[-1]).is_file() for arguments in calls_of(calls, "add_files"))
    assert "create_clock -name clk -period 10.000 [get_ports clk]" in (folder / "vivado" / "clock.xdc").read_text()
    order = [name for name, *_ in calls if name.endswith("_design") or name.startswith("report_")]
    assert order == [
        *("synth_design", "opt_design", "place_design", "phys_opt_design", "route_design"),
        *("report_timing_summary", "report_utilization", "report_power"),
    ]
    assert not calls_of(calls, "write_bitstream")


@needs_tclsh
def test_the_system_has_the_interfaces_of_verilog_and_ipxact(board, folder):
    if not DEVICES[board].vivado_board:
        assert run(folder, "system")[0] == 2
        assert not (folder / "vivado" / "accelerator_bd.v").exists()
        return
    _, calls, _ = run(folder, "system")
    document = etree.parse(str(folder / "component.xml"))
    ports = document.xpath("//i:model/i:ports/i:port/i:name/text()", namespaces=IPXACT)
    interfaces = document.xpath("//i:busInterface/i:name/text()", namespaces=IPXACT)
    pins = [pin for pair in calls_of(calls, "connect_bd_net") for pin in pair]
    ends = [end for pair in calls_of(calls, "connect_bd_intf_net") for end in pair]
    assert set(of_accelerator(pins)) == {"clk", "rst", "irq"} <= set(ports)
    assert sorted(of_accelerator(ends)) == sorted(interfaces)
    assert len(set(ends)) == len(ends)
    assert ["accelerator/m1_axi", "ps/S_AXI_HP1_FPD"] in calls_of(calls, "connect_bd_intf_net")
    registers, *memory = calls_of(calls, "assign_bd_address")
    size = int(document.xpath("string(//i:addressBlock/i:range)", namespaces=IPXACT).removeprefix("'h"), 16)
    assert register_map(1).size <= size <= int(registers[registers.index("-range") + 1], 16)
    assert registers[-1] == "accelerator/s_axi/reg0"
    assert [arguments[1] for arguments in memory] == ["accelerator/m0_axi", "accelerator/m1_axi"]
    assert f"{DEVICES[board].vivado_board}:1.10" in [arguments[1] for arguments in calls_of(calls, "set_property")]
    assert calls_of(calls, "write_bitstream") and not calls_of(run(folder, "system", setup="-1")[1], "write_bitstream")
    code, _, said = run(folder, "system", boards="")
    assert code == 1 and f"{DEVICES[board].vivado_board} is missing" in said


def test_attributes_name_the_ports_of_ipxact(board, folder):
    if not DEVICES[board].vivado_board:
        return
    text = (folder / "vivado" / "accelerator_bd.v").read_text()
    found = {port: info.split()[1:] for info, port in re.findall(PORT, text)}
    document = etree.parse(str(folder / "component.xml"))
    expected = {"clk": ["clk", "CLK"], "rst": ["rst", "RST"], "irq": ["irq", "INTERRUPT"]}
    for bus in document.xpath("//i:busInterface", namespaces=IPXACT):
        name = bus.xpath("string(i:name)", namespaces=IPXACT)
        for entry in bus.xpath(".//i:portMap", namespaces=IPXACT):
            logical, physical = entry.xpath(".//i:name/text()", namespaces=IPXACT)
            expected[physical] = [name, logical]
    assert found == expected
    code, said = lint(folder, "tiny.vlt", "tiny.v", "vivado/accelerator_bd.v", top="accelerator_bd")
    assert code == 0, said[:2000]


def test_memory_begins_behind_that_of_linux(board, folder):
    """In each address of each port, also where the accelerator has fewer bits of it."""
    if not DEVICES[board].vivado_board:
        return
    ports = json.loads((folder / "manifest.json").read_text())["ports"]
    addresses = {port["name"] for port in ports if re.fullmatch(r"m\d+_axi_+a[rw]addr", port["name"])}
    assert len(addresses) == 4
    for bits, whole in ((32, r"(\w+)"), (28, r"\{4'b0, (\w+)\}")):
        text = block_design_wrapper("accelerator", [p | {"bits": bits} if p["name"] in addresses else p for p in ports])
        assert f"parameter [31:0] MEMORY_BASE = 32'h{MEMORY_BASE:x}" in text
        sums = dict(re.findall(rf"assign (\w+) = {whole} \+ MEMORY_BASE;", text))
        assert sums.keys() == addresses
        for name, inner in sums.items():
            assert f"wire [{bits - 1}:0] {inner};" in text and f".{name}({inner})" in text
            assert re.search(rf"output wire +\[31:0\] {name}\b", text)


@pytest.mark.parametrize(
    ("preset", "overrides", "system"),
    [
        ("kv260", [], True),
        ("zcu104", [], True),
        ("u250", [], False),
        ("kv260", ["memory.port_bits=256", "matmul.lanes=256", "memory.prefetch_kib=128"], False),
        ("kv260", ["memory.ports=8", "matmul.lanes=256", "memory.prefetch_kib=128"], False),
    ],
)
def test_a_system_needs_ports_that_the_processing_system_has(preset, overrides, system):
    assert has_system(load_config(preset, overrides)) == system


def test_boards_without_an_amd_device_have_no_script(tmp_path):
    assert set(AMD) < set(BOARDS)
    assert not (make(tmp_path, "ulx3s") / "vivado").exists()
