"""An accelerator with a board's SDRAM: the command; on request whole decoding steps through the board's top."""

import json
from types import SimpleNamespace

import pytest
from rtlm.gen.boards.sdram import missing_packages
from rtlm.gen.configuration.load import load_config
from rtlm.gen.package import linked, shell
from rtlm.gen.package.shell import SHELLS
from rtlm.gen.synthesis.bitstream import Bitstream
from rtlm.gen.synthesis.place import Timing
from rtlm.host.cli.main import run_command
from rtlm.host.models.model import LlamaModel
from rtlm.host.models.random_model import write_random_model
from rtlm.host.verification.sdram_decode import decode
from rtlm.sim.memory.sdram import Violation

SHELL = SHELLS["ulx3s"]


@pytest.fixture
def no_work(monkeypatch):
    """Replace what takes long by what it would find."""
    modules = {linked.CONTROLLER: "module litedram_sdram(); endmodule"}
    emitted = SimpleNamespace(verilog="module linked(); endmodule", rtlil="r")
    monkeypatch.setattr(linked, "emit_linked", lambda shell, params: (emitted, modules))
    return modules


def test_the_command_writes_the_files(tmp_path, capsys, no_work):
    folder = tmp_path / "board"
    assert run_command(["bitstream", "--verilog-only", "-o", str(folder)]) == 0
    names = {"linked.v", "litedram_sdram.v", "ulx3s.lpf", "manifest.json"}
    assert {path.name for path in folder.iterdir()} == names
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["link"] == {"baud": 1_000_000, "memory_bytes": 32 << 20} and manifest["board"] == "ulx3s"
    assert manifest["config"]["limits"]["dim"] == 512 and "bitstream" not in manifest
    assert all(name in capsys.readouterr().out for name in sorted(names)[:1])


def test_figures_of_a_bitstream(tmp_path, capsys, no_work, monkeypatch):
    timing = Timing(
        device="LFE5U-85F, speed grade 6",
        clock_mhz=25,
        fmax_mhz=26.5,
        used={"TRELLIS_COMB": 60_000},
        available={"TRELLIS_COMB": 83_640},
        source="a",
        target="b",
        steps=(),
        tools={},
        seconds=1,
        clocks={"slow": (25, 26.5), "fast": (50, 90)},
        crossings_ns={"slow -> fast": 21.0},
    )
    seen = {}

    def build(board, emitted, **options):
        seen.update(options)
        return Bitstream(content=b"b", timing=timing, synthesis_seconds=1, tools={}, folder=tmp_path, cached=True)

    monkeypatch.setattr(shell, "build_bitstream", build)
    folder = tmp_path / "board"
    assert run_command(["bitstream", "--seed", "3", "-o", str(folder)]) == 1, "a crossing takes longer than 20 ns"
    assert (seen["top"], seen["modules"], seen["seed"]) == ("linked", no_work, 3)
    said = capsys.readouterr().out
    assert "slow -> fast 21.0 ns" in said and "openFPGALoader -b ulx3s linked.bit" in said
    assert (folder / "linked.bit").read_bytes() == b"b"
    assert json.loads((folder / "manifest.json").read_text())["bitstream"]["clocks"]["fast"] == [50, 90]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--config", "tiny"], "scheduled with the delays of generic"),
        (["--set", "clock_mhz=20"], "the clock of ulx3s has 25 MHz"),
        (["--set", "memory.port_bits=64", "--set", "memory.prefetch_kib=4"], "must have one memory port of 32 bits"),
        (["--baud", "9000000"], "baud must be"),
    ],
    ids=str,
)
def test_what_is_not_for_the_board_is_refused(tmp_path, capsys, arguments, sentence):
    assert run_command(["bitstream", *arguments, "-o", str(tmp_path / "board")]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "board").exists()


def test_the_preset_is_for_what_the_memory_holds():
    config = load_config(SHELL.sdram_preset)
    assert 1 << config.memory.address_bits == 32 << 20
    params = linked.linked_params(SHELL, config, baud=1_000_000)
    assert params.accelerator.heads * params.accelerator.head_dim == 512 and Violation.NONE == 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_steps_through_the_boards_top_are_the_golden_models(request, tmp_path):
    """Model over the serial line into the SDRAM, registers, logits back; the memory ends the simulation on misuse."""
    if not request.config.getoption("--boards"):
        pytest.skip("the board's top builds for two minutes; ask for it with --boards")
    if missing := missing_packages():
        pytest.skip(f"the SDRAM's controller is LiteDRAM, and {' and '.join(missing)} are not installed")
    write_random_model(
        tmp_path / "toy.gguf", seed=0, layers=1, dim=32, hidden_dim=64, heads=2, kv_heads=2, vocab=64, context=16
    )
    steps = decode(load_config("ulx3s-selftest"), LlamaModel.open(tmp_path / "toy.gguf"), context=16, tokens=(5, 17, 2))
    assert all(step.agrees for step in steps) and len(steps) == 3
    assert all(1_000 < step.cycles < 20_000 for step in steps)
