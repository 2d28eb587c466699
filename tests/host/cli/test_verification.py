"""``rtlm test`` and ``rtlm prove`` without running long: what they offer, refuse, and how they end."""

import json

import pytest
from rtlm.host.cli.main import run_command
from rtlm.sim.proofs import prover
from rtlm.sim.proofs.prover import Verdict
from rtlm.sim.unit_benches.bench import Bench
from rtlm.sim.verilator.cocotb_runner import CocotbRun, TestOutcome


def test_everything_that_can_be_generated_can_be_tested(capsys):
    from rtlm.gen.rtl.units import UNITS

    assert run_command(["test", "--list", *UNITS]) == 0
    units = {line.partition("/")[0] for line in capsys.readouterr().out.split()}
    assert units == {"matmul", "attention", "vector", "memory", "sequencer", "kernels"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["test", "gvem"], "there is no bench for 'gvem'"),
        (["test", "attention/nope"], "attention has no set of parameters 'nope'"),
        (["test", "attention", "--set", "matmul.lanes=64"], "give one with --config"),
        (["prove", "nope"], "there is no property 'nope'"),
    ],
)
def test_mistakes_are_sentences(arguments, sentence, capsys):
    assert run_command(arguments) == 2
    assert sentence in " ".join(capsys.readouterr().err.split())


def test_a_failure_gives_the_command_that_repeats_it(monkeypatch, tmp_path, capsys):
    calls = []

    def run(self, folder, *, seed, waves=False, **_):
        calls.append(waves)
        outcome = TestOutcome(name="trials", failure="wrong bits", seconds=0.5, cycles=7)
        return CocotbRun(
            outcomes=(outcome,),
            results=folder / "results.xml",
            log=folder / "log",
            waveform=folder / "waves.vcd" if waves else None,
        )

    monkeypatch.setattr(Bench, "run", run)
    arguments = ["test", "attention", "-c", "tiny", "--set", "matmul.columns=2", "--seed", "5", "-o", str(tmp_path)]
    assert run_command(arguments) == 1
    out = capsys.readouterr().out
    assert "FAILED attention/tiny" in out and "wrong bits" in out
    assert "again: rtlm test attention --config tiny --set matmul.columns=2 --seed 5 --waves" in out
    assert "waves.vcd" in out and calls == [False, True]
    assert run_command([*arguments, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["benches"][0]["complaint"] == "trials: wrong bits"


def test_a_broken_property_is_a_negative_result(monkeypatch, tmp_path, capsys):
    verdict = Verdict(holds=False, unbounded=False, text="broken", seconds=1, counterexample=tmp_path / "c.vcd")
    monkeypatch.setattr(prover, "prove", lambda each, folder: verdict)
    assert run_command(["prove", "stage", "-o", str(tmp_path)]) == 1
    assert "BROKEN" in (out := capsys.readouterr().out) and "c.vcd" in out
