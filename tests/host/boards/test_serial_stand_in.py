"""The driver of the serial line against the Verilated top behind a pseudo-terminal: same bits, or a sentence."""

import json
import subprocess
import sys

import pytest
from rtlm.gen.common.progress import SilentProgress
from rtlm.gen.configuration.load import load_config
from rtlm.host import session
from rtlm.host.boards.serial_stand_in import PRESET, SerialFaults, serial_stand_in
from rtlm.host.compiler.image_folder import write_image
from rtlm.host.session_options import RunOptions

from tests.documents import ROOT

pytestmark = pytest.mark.slow
OVERRIDES = ["limits.vocabulary=320", "clock_gating=simulator"]
"""A vocabulary for text, and a simulation that stops the clocks of what rests."""

SHAPE = {"layers": 1, "dim": 32, "hidden_dim": 64, "heads": 2, "kv_heads": 2, "vocab": 320, "context": 16}
NEW_TOKENS = 2
LOADED = 26_000
"""Bytes to the board at which its memory is loaded and the first step is about to begin; about."""


@pytest.fixture(scope="module")
def model(random_model):
    return random_model(**SHAPE)


@pytest.fixture(scope="module")
def expected(model):
    """What the golden model computes, whose bits are those of the gates."""
    options = RunOptions(
        texts=("abc",),
        max_tokens=NEW_TOKENS,
        config=PRESET,
        overrides=tuple(OVERRIDES),
        model=model,
        read_logits=True,
        backend="golden",
    )
    return session.run(options, SilentProgress()).to_json()


@pytest.fixture
def board(tmp_path):
    """Find a board with some faults, and run sessions on it in a program; gives what came of each."""

    def drive(model, *runs, **faults):
        path = tmp_path / "ttyULX3S"
        backend = f"uart:{path},answer=5"
        values = {"max_tokens": NEW_TOKENS, "config": PRESET, "overrides": OVERRIDES, "model": str(model)}
        runs = [values | run | {"backend": backend + run.get("backend", "")} for run in runs]
        command = [sys.executable, "-m", "tests.host.boards.driver_program", json.dumps(runs)]
        with serial_stand_in(PRESET, path, OVERRIDES, faults=SerialFaults(**faults)):
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert not done.stderr, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    return drive


def same(report, expected):
    keys = ("token_ids", "logits_sha256")
    assert [report.get(key) for key in keys] == [expected[key] for key in keys], report.get("error")


def test_what_does_not_belong_together_is_refused_and_then_all_is_well(board, model, expected, random_model, tmp_path):
    """Another bitstream, an image of another model, a model that is too large; then an image of the right one."""
    image = tmp_path / "image"
    write_image(load_config(PRESET, OVERRIDES), model, image)
    wrong, stale, well = board(
        model,
        {"overrides": [*OVERRIDES, "attention.context_limit=32"]},
        {"backend": f",image={image}", "model": str(random_model(**SHAPE | {"vocab": 300}))},
        {"backend": f",image={image}"},
        skew=20,
        short=7,
    )
    assert "the accelerator was built from configuration" in wrong["error"]
    assert "was made from another" in stale["error"]
    same(well, expected)
    assert well["power"] is None and well["memory"] is None and well["bytes"] is None
    assert well["simulator"]["wall_s"] > 0 and well["simulator"]["simulated_cycles"] is None
    assert "counted on the board" in well["pedigree"]["operators"]


def test_noise_is_repaired_and_a_reset_and_a_pulled_cable_are_sentences(board, model, expected):
    """Bits are flipped both ways and bytes appear that nobody has sent; the third run has only that to cope with."""
    noise = {"noise": 7_001, "noise_back": 5_003, "extra": 3_001}
    reset, pulled, well = board(model, {}, {}, {}, reset=LOADED, cut=2 * LOADED, **noise)
    assert "was reset meanwhile: what it held is lost; run the command again" in reset["error"]
    assert "is gone (" in pulled["error"] and "is the cable still there, and the board on?" in pulled["error"]
    same(well, expected)
