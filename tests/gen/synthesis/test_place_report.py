"""What nextpnr's report says of designs with several clocks."""

import pytest
from rtlm.gen.synthesis.place import Placement, Timing, read_report


def step(delay):
    return {"type": "logic", "delay": delay, "from": {"cell": "a"}, "to": {"cell": "b"}}


def report(*, slow=28.0, fast=80.0, crossing=8.0):
    def path(first, last, *delays):
        return {"from": f"posedge {first}", "to": f"posedge {last}", "path": [step(delay) for delay in delays]}

    return {
        "fmax": {"slow": {"achieved": slow, "constraint": 25.0}, "fast": {"achieved": fast, "constraint": 50.0}},
        "critical_paths": [
            path("slow", "slow", 1000 / slow),
            path("fast", "fast", 1000 / fast),
            path("slow", "fast", crossing / 2, crossing / 2),
            {"from": "<async>", "to": "posedge slow", "path": [step(99)]},
        ],
        "utilization": {},
    }


def timing(**changes):
    found = read_report(report(**changes), Placement(clock_mhz=25))
    return Timing.from_json(found | {"device": "", "tools": {}, "seconds": 1})


def test_the_clock_that_is_closest_to_missing_its_aim_counts():
    found = timing()
    assert (found.clock_mhz, found.fmax_mhz) == (25.0, 28.0)
    assert found.clocks == {"slow": (25.0, 28.0), "fast": (50.0, 80.0)} and found.crossings_ns == {"slow -> fast": 8.0}
    assert found.met
    assert (timing(fast=55.0).clock_mhz, timing(fast=55.0).fmax_mhz) == (50.0, 55.0)


@pytest.mark.parametrize("changes", [{"slow": 24.9}, {"fast": 49.0}, {"crossing": 20.1}], ids=str)
def test_each_clock_and_each_crossing_has_to_be_met(changes):
    assert not timing(**changes).met
    assert timing(crossing=19.9).met, "a period of the faster clock"


def test_a_single_clock_is_held_against_what_was_asked_for():
    single = report()
    del single["fmax"]["fast"]
    found = read_report(single, Placement(clock_mhz=27.3))
    assert (found["clock_mhz"], found["fmax_mhz"], found["crossings_ns"]) == (27.3, 28.0, {})
