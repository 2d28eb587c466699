"""The device tree for Linux: structure and addresses read here, compiled and merged where dtc is."""

import json
import re
import shutil
import subprocess

import pytest
from rtlm.gen.configuration.load import load_config
from rtlm.gen.package.device_tree import device_tree_files
from rtlm.gen.package.vivado.zynq import HPM0_BASE, MEMORY_BASE
from rtlm.hw.registers.accelerator import register_map

from tests.documents import ROOT

needs_dtc = pytest.mark.skipif(
    shutil.which("dtc") is None or shutil.which("fdtoverlay") is None,
    reason="there is no dtc or fdtoverlay (Debian: device-tree-compiler)",
)

BASE = """\
/dts-v1/;
/ {
    #address-cells = <2>;
    #size-cells = <2>;
    fpga_full: fpga-full { };
    amba: axi {
        #address-cells = <2>;
        #size-cells = <2>;
        ranges;
        gic: interrupt-controller { #interrupt-cells = <3>; #address-cells = <0>; interrupt-controller; };
    };
    zynqmp_clk: clock-controller { #clock-cells = <1>; };
    zynqmp_reset: reset-controller { #reset-cells = <1>; };
};
"""
"""Labels that the tree of a Zynq UltraScale+ has, as AMD's Linux names them."""


def files(preset="kv260", *overrides):
    written = device_tree_files(load_config(preset, overrides), register_map(1))
    return {name.removeprefix("linux/"): text for name, text in written.items()}


def parse(text):
    """Nodes as dictionaries: properties with their text, nodes by what stands before their brace."""
    text = re.sub(r"//.*", "", text)
    tokens = re.findall(r'"[^"]*"|[{};]|[^{};"]+', text)
    root, stack, said = {}, [], ""
    node = root
    for token in tokens:
        if token == "{" and not said.strip().endswith("&"):
            stack.append(node)
            name = said.strip()
            assert name and name not in node
            node[name] = node = {}
            said = ""
        elif token == "}":
            assert not said.strip(), f"{said} has no semicolon"
            node, said = stack.pop(), "}"
        elif token == ";":
            name, _, value = said.strip().partition("=")
            if name.strip() != "}":
                assert name.strip() and name.strip() not in node
                node[name.strip()] = value.strip()
            said = ""
        else:
            said += token
    assert not stack and not said.strip()
    return root


def cells(text):
    return [int(number, 0) for number in re.findall(r"(?<![&\w])(?:0x)?[0-9a-f]+\b", text)]


@pytest.mark.parametrize("preset", ["kv260", "zcu104"])
def test_the_overlay_has_the_addresses_of_the_block_design(preset):
    written = files(preset)
    tree = parse(written[f"{preset}.dts"])
    assert {"/dts-v1/", "/plugin/"} <= tree.keys()
    bus = tree["&amba"]
    registers = bus[f"rtlm: rtlm@{HPM0_BASE:x}"]
    assert cells(registers["reg"]) == [0, HPM0_BASE, 0, 0x1000] and register_map(1).size <= 0x1000
    assert cells(registers["interrupts"]) == [0, 89, 4] and registers["compatible"] == '"generic-uio"'
    assert cells(bus["rtlm_clock: clocking0"]["assigned-clock-rates"]) == [300_000_000]
    # HP0 to HP3 are AFIFM2 to AFIFM5, each with two registers: 0 is 128 bits. HPM0 has 32.
    afi = bus["rtlm_widths: afi0"]["config-afi"]
    assert afi == ", ".join(f"<{register} 0>" for register in (*range(4, 12), 14))
    reserved = parse(written["reserved-memory.dts"].replace("&{/}", "&root"))
    (memory,) = (node for node in reserved["&root"]["reserved-memory"].values() if isinstance(node, dict))
    assert f"rtlm_memory: rtlm@{MEMORY_BASE:x}" in reserved["&root"]["reserved-memory"]
    _, base, _, size = cells(memory["reg"])
    buffer = bus["rtlm_buffer: udmabuf0"]
    assert base == MEMORY_BASE and cells(buffer["size"]) == [size] and buffer["memory-region"] == "<&rtlm_memory>"
    assert base + size <= 0x7FF0_0000
    assert f'"{preset}.bit.bin"' in tree["&fpga_full"]["firmware-name"] and f"{preset}.bit" in written[f"{preset}.bif"]
    assert json.loads(written["shell.json"])["shell_type"] == "XRT_FLAT"


def test_narrower_ports_and_other_clocks_are_set():
    written = files("kv260", "memory.port_bits=64", "memory.ports=2", "matmul.lanes=32", "clock_mhz=150")
    text = written["kv260.dts"]
    assert "config-afi = <4 1>, <5 1>, <6 1>, <7 1>, <14 0>;" in text
    assert "assigned-clock-rates = <150000000>;" in text


def test_only_a_zynq_has_one():
    assert not files("u250") and not files("tiny") and not files("kv260", "memory.ports=8", "matmul.lanes=256")


def test_the_pages_name_what_the_files_have():
    page = (ROOT / "docs" / "boards.md").read_text()
    for name in ("linux/reserved-memory.dts", "linux/kv260.dts", "linux/kv260.bif", "linux/shell.json"):
        assert name in page
    assert f"{MEMORY_BASE:#x}" in page and f"{HPM0_BASE:#x}" in page


@needs_dtc
def test_dtc_compiles_both_and_a_tree_takes_them(tmp_path):
    (tmp_path / "system.dts").write_text(BASE)
    for name, text in files().items():
        (tmp_path / name).write_text(text)
    for source, target in (("system.dts", "system.dtb"), ("reserved-memory.dts", "r.dtbo"), ("kv260.dts", "k.dtbo")):
        command = ["dtc", "-@", "-O", "dtb", "-o", target, source]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        # Of the root of reserved-memory.dts dtc does not see that a node below inherits its cells.
        said = [line for line in done.stderr.splitlines() if "avoid_unnecessary_addr_size" not in line]
        assert done.returncode == 0 and not said, said
    subprocess.run(["fdtoverlay", "-i", "system.dtb", "-o", "all.dtb", "r.dtbo", "k.dtbo"], cwd=tmp_path, check=True)
    shown = subprocess.run(["dtc", "-I", "dtb", "-O", "dts", "all.dtb"], cwd=tmp_path, capture_output=True, text=True)
    tree = parse(shown.stdout)["/"]
    memory = tree["reserved-memory"][f"rtlm@{MEMORY_BASE:x}"]
    assert cells(tree["axi"]["udmabuf0"]["memory-region"]) == cells(memory["phandle"])
    assert cells(tree["axi"][f"rtlm@{HPM0_BASE:x}"]["interrupts"]) == [0, 89, 4]
    # Without the reserved memory the overlay is refused.
    command = ["fdtoverlay", "-i", "system.dtb", "-o", "none.dtb", "k.dtbo"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode != 0
