"""The self-test as it goes to a board: its content, its gates in Verilator, the command; on request its bitstream."""

import json
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from rtlm.gen.common.errors import GenerateError
from rtlm.gen.configuration.load import load_config
from rtlm.gen.package import selftest, shell
from rtlm.gen.synthesis.bitstream import Bitstream
from rtlm.gen.synthesis.place import PlaceError, Timing
from rtlm.host.cli.main import run_command
from rtlm.host.verification.selftest import GENERATED, PROMPT, make_case
from rtlm.host.verification.selftest_bench import SHELL, selftest_benches
from rtlm.hw.board import Kind
from rtlm.hw.registers.accelerator import register_map

STEPS = len(PROMPT) + GENERATED


@pytest.fixture(scope="module")
def case():
    return make_case(load_config(SHELL.preset), clock_hz=25e6)


def test_the_list_feeds_the_models_own_tokens(case):
    """Rows written by the driver and checks from the golden model agree about the tokens."""
    rows, registers = case.params.rows, register_map(1)
    fed = [row.value for row in rows if row.kind is Kind.WRITE and row.address == registers.address("TOKEN")]
    best = [row.value for row in rows if row.kind is Kind.EXPECT and row.address == registers.address("BEST")]
    assert tuple(fed) == case.tokens[:-1] and len(fed) == len(best) == STEPS
    assert fed[len(PROMPT) :] == best[len(PROMPT) - 1 : -1] and case.tokens[-1] == best[-1]
    largest = [row.value for row in rows if row.address == registers.address("BEST_VALUE") and row.kind is Kind.EXPECT]
    assert len(set(largest)) == STEPS, "steps that give the same logits test nothing"
    assert np.isfinite(np.array(largest, "<u4").view("<f4")).all()
    # What comes last is what PASS reports.
    assert [row.kind for row in rows[-2:]] == [Kind.EXPECT, Kind.END]
    assert rows[-2].address == registers.address("BEST")


def test_the_list_looks_at_everything_behind_each_step(case):
    kinds = [row.kind for row in case.params.rows if row.kind is not Kind.WRITE]
    each = [Kind.AWAIT, Kind.ERROR, Kind.ADD, Kind.DIGEST, Kind.EXPECT, Kind.EXPECT]
    assert kinds == [Kind.PATCH, Kind.PATCH, *each * STEPS, Kind.END]
    digests = {row.value for row in case.params.rows if row.kind is Kind.DIGEST}
    assert len(digests) == STEPS and zlib.crc32(b"") not in digests


def test_patches_leave_the_image_as_it_is(case):
    patches = [row for row in case.params.rows if row.kind is Kind.PATCH]
    assert [case.params.content[row.address] for row in patches] == [row.value for row in patches]
    assert len({row.address for row in patches}) == len(patches)


def test_another_seed_is_another_model(case):
    other = make_case(load_config(SHELL.preset), clock_hz=25e6, seed=1)
    assert other.params.content != case.params.content and other.params.depth == case.params.depth


def test_a_wide_memory_is_refused():
    with pytest.raises(GenerateError, match=r"memory\.ports = 2 of memory\.port_bits = 128"):
        make_case(load_config("tiny"), clock_hz=25e6)


@pytest.mark.slow
def test_the_gates_pass_and_fail_in_verilator(tmp_path, seed):
    """Text on the serial line and LEDs: as expected, with a wrong weight, with a wrong program, and again."""
    (bench,) = selftest_benches()
    run = bench.run(tmp_path, seed=seed)
    assert run.passed, run.complaint
    assert {each.name for each in run.outcomes} == {
        "passes_by_itself",
        "a_wrong_weight_fails",
        "a_wrong_program_is_an_error",
        "runs_take_the_same_time",
    }


@pytest.mark.slow
def test_the_command_writes_the_files(tmp_path, capsys, case):
    folder = tmp_path / "selftest"
    assert run_command(["selftest", "--verilog-only", "-o", str(folder)]) == 0
    assert f"the token to come is {case.tokens[-1]:08x}" in capsys.readouterr().out
    assert {path.name for path in folder.iterdir()} == {"selftest.v", "ulx3s.lpf", "manifest.json"}
    manifest = json.loads((folder / "manifest.json").read_text())
    facts = manifest["selftest"]
    assert facts["tokens"] == list(case.tokens) and len(facts["rows"]) == len(case.params.rows)
    assert facts["memory_bytes"] == 4 * case.params.depth and "bitstream" not in manifest
    text = (folder / "selftest.v").read_text()
    assert "module selftest(" in text and all(port in text for port in ("clk_25mhz", "ftdi_rxd", "led"))
    assert run_command(["selftest", "--verilog-only", "--set", "clock_mhz=20", "-o", str(folder)]) == 2
    assert "the clock of ulx3s has 25 MHz" in capsys.readouterr().err


def test_files_and_figures_of_a_bitstream(tmp_path, capsys, monkeypatch):
    """What the command does with what the tools found, here for a clock that is missed, and for a failure."""
    timing = Timing(
        device="LFE5U-85F, speed grade 6",
        clock_mhz=25,
        fmax_mhz=24.5,
        used={"TRELLIS_COMB": 60_000},
        available={"TRELLIS_COMB": 83_640},
        source="a",
        target="b",
        steps=(),
        tools={},
        seconds=1,
    )
    built = Bitstream(
        content=b"bits", timing=timing, synthesis_seconds=1, tools={}, folder=tmp_path / "cache", cached=True
    )
    monkeypatch.setattr(
        selftest, "emit_selftest", lambda shell, params: SimpleNamespace(verilog="v", rtlil="r", sha256="s")
    )
    monkeypatch.setattr(shell, "build_bitstream", lambda *args, **options: built)
    folder = tmp_path / "out"
    assert run_command(["selftest", "-o", str(folder)]) == 1
    said = capsys.readouterr().out
    assert "24.5 MHz between registers; the board's 25 MHz are MISSED" in said
    assert "openFPGALoader -b ulx3s" in said and "60,000" in said
    assert (folder / "selftest.bit").read_bytes() == b"bits"
    assert json.loads((folder / "manifest.json").read_text())["bitstream"]["met"] is False

    def stuck(*args, **options):
        raise PlaceError("nextpnr-ecp5 was ended: routing does not converge")

    monkeypatch.setattr(shell, "build_bitstream", stuck)
    assert run_command(["selftest", "-o", str(tmp_path / "stuck")]) == 1
    assert "routing does not converge" in capsys.readouterr().err
    assert (tmp_path / "stuck" / "selftest.v").is_file()


@pytest.mark.synthesis
@pytest.mark.timeout(4 * 3600)
def test_the_bitstream_meets_the_clock_of_the_board(request, tmp_path, capsys):
    if not request.config.getoption("--bitstream"):
        pytest.skip("place and route takes half an hour; ask for it with --bitstream")
    assert run_command(["selftest", "-o", str(tmp_path)]) == 0
    built = json.loads((tmp_path / "manifest.json").read_text())["bitstream"]
    content = (tmp_path / "selftest.bit").read_bytes()
    assert built["met"] and built["fmax_mhz"] >= built["clock_mhz"] == 25
    assert len(content) == built["bytes"] and b"LFE5U-85F" in content[:200]
    assert "openFPGALoader -b ulx3s" in capsys.readouterr().out
