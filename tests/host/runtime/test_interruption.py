"""Signals while a model answers: a step is broken off, everything before it is whole and reported."""

import json
import signal
import subprocess
import sys

import pytest
from rtlm.gen.common.errors import INTERRUPTED
from rtlm.gen.common.progress import SilentProgress
from rtlm.host import backend, session
from rtlm.host.runtime.device import ColumnInput
from rtlm.host.runtime.interruption import InterruptibleStepper
from rtlm.host.runtime.simulated_device import SimulatedDevice
from rtlm.host.session_options import RunOptions

from tests.host.runtime.toy_stepper import ToyStepper

SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture(autouse=True)
def _handlers():
    """Have handlers as under the command line, and check that they are put back."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in SIGNALS}
    yield
    for number, handler in before.items():
        assert signal.signal(number, handler) is signal.default_int_handler


@pytest.fixture(scope="module")
def model(random_model):
    return random_model(layers=2, dim=128, hidden_dim=256, heads=4, kv_heads=2, vocab=320, context=512)


def options_of(model, **changes):
    return RunOptions(**{"texts": ("abc",), "max_tokens": 6, "config": "tiny", "model": model, **changes})


def step(stepper, position=0):
    inputs = [ColumnInput(token=1, position=position, history=position, local_first=0, slot=0)]
    return stepper.step(inputs, want_logits=True, read_logits=False)


class Signalling(ToyStepper):
    """Gets a signal within a step, and goes on where nothing stops it."""

    def __init__(self, number, at):
        super().__init__(columns=1, seed=0)
        self.number, self.at, self.ended = number, at, 0

    def step(self, columns, **how):
        if columns[0].position == self.at:
            signal.raise_signal(self.number)
        self.ended += 1
        return super().step(columns, **how)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_breaks_off_the_step_that_is_computed(number):
    inner = Signalling(number, at=2)
    stepper = InterruptibleStepper(inner)
    with stepper.until_signal():
        for position in range(4):
            step(stepper, position)
        pytest.fail("was not interrupted")
    assert stepper.interrupted
    assert inner.ended == 2


def test_between_steps_nothing_is_broken_off():
    stepper, whole = InterruptibleStepper(ToyStepper(columns=1, seed=0)), False
    with stepper.until_signal():
        step(stepper)
        signal.raise_signal(signal.SIGINT)
        whole = True
        step(stepper, 1)
        pytest.fail("was not interrupted")
    assert whole and stepper.interrupted


def test_a_second_signal_is_not_held_back():
    stepper = InterruptibleStepper(ToyStepper(columns=1, seed=0))
    with stepper.until_signal():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("was held back")
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_an_ignored_signal_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stepper = InterruptibleStepper(ToyStepper(columns=1, seed=0))
    with stepper.until_signal():
        signal.raise_signal(signal.SIGINT)
        step(stepper)
    assert not stepper.interrupted
    assert signal.signal(signal.SIGINT, signal.default_int_handler) is signal.SIG_IGN


@pytest.mark.slow
def test_the_report_is_that_of_a_run_that_ends_there(model, monkeypatch):
    """A run that is broken off within the step of its third token reports what one of two tokens does."""
    short = session.run(options_of(model, max_tokens=2), SilentProgress())
    steps = 0

    def run_device(device):
        nonlocal steps
        steps += 1
        device.model.advance(500)
        assert not device.model.irq
        if steps == len(short.run.steps) + 1:
            signal.raise_signal(signal.SIGINT)
        device.model.run()

    monkeypatch.setattr(SimulatedDevice, "run", run_device)
    broken = session.run(options_of(model), SilentProgress())
    assert broken.run.interrupted and not short.run.interrupted
    assert broken.run.sequences == short.run.sequences
    assert broken.run.steps == short.run.steps
    assert broken.run.memory == short.run.memory
    assert broken.performance == short.performance
    assert broken.run.simulator.simulated_cycles > short.run.simulator.simulated_cycles
    assert broken.to_json()["interrupted"]
    assert f"of the {len(short.run.steps)} steps that had ended" in broken.notes[0]


@pytest.mark.parametrize(
    ("texts", "after"), [(("abc",), 0), (("abcdefghi",), 1), (("abc", "de"), 1), (("abc", "de"), 4)]
)
def test_interrupted_at_any_step(model, monkeypatch, texts, after):
    """Nothing, a part of the prompt, or the prompt of a batch's first sequence only: there is a report."""
    original = backend.GoldenEngine.step
    steps = 0

    def counted(engine, columns, **how):
        nonlocal steps
        if steps == after:
            signal.raise_signal(signal.SIGINT)
        steps += 1
        return original(engine, columns, **how)

    monkeypatch.setattr(backend.GoldenEngine, "step", counted)
    overrides = ("matmul.columns=2",)
    report = session.run(options_of(model, texts=texts, backend="golden", overrides=overrides), SilentProgress())
    assert report.run.interrupted
    assert len(report.run.steps) == after
    assert report.performance.cycles_per_token is None
    assert json.loads(report.dumps())["tokens"] == sum(len(s.token_ids) for s in report.run.sequences)


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
def test_the_command_reports_what_was_done(model, tmp_path, number):
    path = tmp_path / "report.json"
    arguments = ["run", "--prompt", "abc", "-n", "200", "--backend", "golden", "--config", "tiny"]
    arguments += ["--model", str(model), "--json", str(path)]
    code = f"from rtlm.host.cli.main import main; main({arguments!r})"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as command:
        first = command.stdout.read(1)
        command.send_signal(number)
        out, err = (text.decode() for text in command.communicate())
    assert command.returncode == INTERRUPTED, err
    report = json.loads(path.read_text())
    assert report["interrupted"] and 1 <= report["tokens"] < 200
    assert report["text"].encode().startswith(first)
    assert "tokens" in out and "Note: The run was interrupted" in out
    assert err.endswith("Interrupted; the report is of the steps that had ended.\n")
    assert len(report["steps"]) == report["tokens"] + report["prompt_tokens"] - 1
    whole = session.run(options_of(model, max_tokens=report["tokens"], backend="golden"), SilentProgress())
    assert report["token_ids"] == list(whole.run.sequences[0].token_ids)
