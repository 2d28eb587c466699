"""What an accelerator behind a serial line may be made of."""

import re
from pathlib import Path

import pytest
from rtlm import constraints
from rtlm.gen.configuration.load import load_config
from rtlm.hw.board import LinkedParams, Ulx3sSdram

SMALL = load_config("ulx3s-selftest").to_params()
GOOD = {"accelerator": SMALL, "clock_hz": 25e6, "memory_bytes": 1 << 18}


@pytest.mark.parametrize(("baud", "divisor"), [(1_000_000, 25), (3_000_000, 25 / 3), (2_000_000, 12.5)])
def test_speeds_of_the_bridge_are_made_of_the_boards_clock(baud, divisor):
    assert float(LinkedParams(**GOOD, baud=baud).divisor) == divisor


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"accelerator": load_config("tiny").to_params()}, "must have one memory port of 32 bits, got 2 of 128"),
        ({"baud": 7_000_000}, "baud must be from 1 to 6250000, got 7000000"),
        ({"baud": 6_150_000}, "baud must be within 0.5% of the clock divided by a fraction with .* 8, got 6150000"),
    ],
)
def test_impossible_links_are_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        LinkedParams(**GOOD | changes)


def test_the_board_has_one_oscillator():
    with pytest.raises(ValueError, match=r"clock_hz must be that of a ULX3S, 2\.5e\+07, got 5e\+07"):
        Ulx3sSdram(LinkedParams(**GOOD | {"clock_hz": 50e6}))


def test_the_pins_are_those_of_the_boards_constraints():
    text = (Path(constraints.__path__[0]) / "ulx3s.lpf").read_text(encoding="utf-8")
    located = set(re.findall(r'LOCATE COMP "([^"\[]+)', text))
    assert set(Ulx3sSdram(LinkedParams(**GOOD)).signature.members) <= located
