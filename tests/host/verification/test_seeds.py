"""Seeds of the test suite and of ``rtlm test``: fixed unless asked, printed, the same in every process."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rtlm.host.cli.main import run_command
from rtlm.host.verification.seeds import DEFAULT_SEED, SEEDS, parse_seed
from rtlm.sim.unit_benches.bench import Bench
from rtlm.sim.verilator.cocotb_runner import CocotbRun, TestOutcome

TESTS = Path(__file__).resolve().parents[2]
SUITE = """
import pytest
from hypothesis import given, strategies as st

@pytest.mark.parametrize("number", range(4))
def test_drawn(seed, number):
    assert False, f"drew {seed}"

def test_fixed():
    pass

@given(st.integers(0, 1 << 60))
def test_examples(number):
    with open("examples", "a") as file:
        file.write(f"{number}\\n")
"""


def test_a_seed_is_a_number_or_drawn():
    assert [parse_seed(text) for text in ("0", "17", str(SEEDS - 1))] == [0, 17, SEEDS - 1]
    drawn = {parse_seed("random") for _ in range(4)}
    assert len(drawn) > 1 and all(0 <= seed < SEEDS for seed in drawn)
    for text in (str(SEEDS), "-1", "1.5", "", "fresh"):
        with pytest.raises(ValueError, match=rf"number from 0 to {SEEDS - 1} or 'random', got '{re.escape(text)}'"):
            parse_seed(text)


@pytest.fixture
def pytest_says(tmp_path):
    """Run pytest with the suite's own configuration on a few small tests; return its exit code and text."""
    (tmp_path / "test_small.py").write_text(SUITE)

    def run(*arguments):
        command = [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider", *arguments]
        paths = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": paths}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.mark.slow
def test_the_suite_has_one_fixed_seed(pytest_says, tmp_path):
    examples = []
    for _ in range(2):
        code, text = pytest_says()
        assert code == 1 and f"seed: {DEFAULT_SEED}\n" in text
        assert text.count(f"AssertionError: drew {DEFAULT_SEED}") >= 4
        assert f"again: pytest --seed {DEFAULT_SEED} 'test_small.py::test_drawn[0]'" in text
        examples.append((tmp_path / "examples").read_text())
        (tmp_path / "examples").unlink()
    assert examples[0] == examples[1], "hypothesis drew other examples"


@pytest.mark.slow
def test_a_drawn_seed_is_the_same_in_every_process(pytest_says):
    code, text = pytest_says("--seed", "random", "-n", "2", "-m", "randomised")
    (seed,) = re.findall(r"^seed: (\d+)$", text, re.MULTILINE)
    assert code == 1 and int(seed) != DEFAULT_SEED
    assert set(re.findall(r"AssertionError: drew (\d+)", text)) == {seed}
    assert "4 failed, 1 passed" in text, "a test that takes no seed is left out"


@pytest.mark.slow
def test_a_wrong_seed_is_a_sentence(pytest_says):
    code, text = pytest_says("--seed", "x")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "--seed: the seed must be a number from 0 to 4294967295 or 'random', got 'x'" in text


def test_benches_have_a_fixed_seed_unless_asked(monkeypatch, tmp_path, capsys):
    seeds = []

    def run(self, folder, *, seed, **_):
        seeds.append(seed)
        outcome = TestOutcome(name="trials", failure="", seconds=0.5, cycles=7)
        return CocotbRun(outcomes=(outcome,), results=folder / "results.xml", log=folder / "log")

    monkeypatch.setattr(Bench, "run", run)
    command = ["test", "attention/steps", "-o", str(tmp_path)]
    for arguments in ([], ["--seed", "17"], ["--seed", "random"]):
        assert run_command([*command, *arguments]) == 0
        assert capsys.readouterr().out.startswith(f"seed {seeds[-1]}\n")
    assert run_command([*command, "--seed", "random", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seed"] == seeds[-1]
    assert seeds[:2] == [DEFAULT_SEED, 17] and len({DEFAULT_SEED, *seeds[2:]}) == 3
    assert run_command([*command, "--seed", "x"]) == 2
    assert "got 'x'" in " ".join(capsys.readouterr().err.split())
