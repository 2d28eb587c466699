"""A router that gets nowhere is ended, with the numbers."""

from functools import partial
from itertools import pairwise

import pytest
from rtlm.gen.synthesis import place
from rtlm.gen.synthesis.convergence import stuck
from rtlm.gen.synthesis.place import PlaceError, Placement, run_placer, run_tool

# Overused wires of the self-test on the LFE5U-85F, 60,451 TRELLIS_COMB, seed 1, router2 of nextpnr 0.11.1.
STUCK = (70994, 42820, 24538, 13370, 8005, 4867, 3300, 2124, 1377, 946, 716, 531, 439, 339, 275, 255, 212, 172, 143)
STUCK += (154, 143, 149, 133, 134, 127, 123, 125, 119, 117, 130, 120, 133, 152, 166, 198, 179, 167, 174, 196, 196, 229)
STUCK += (230, 240, 255, 244, 257, 306, 302, 350, 373, 416, 427, 471, 489, 513, 500, 477, 480, 478, 494, 551, 560, 568)
STUCK += (543, 559, 605, 670, 712, 720)


def log(counts):
    head = "Info: Running main router loop...\n"
    return head + "".join(
        f"Info:     iter={n} wires=1000000 overused={count} overuse={count} archfail=NA\n"
        for n, count in enumerate(counts, 1)
    )


def test_a_router_that_gets_nowhere_is_seen():
    said = stuck(log(STUCK))
    assert "117 wires were in conflict after iteration 29, and never fewer up to iteration 69" in said


@pytest.mark.parametrize("counts", [(), STUCK[:40], (500, 20, 0), (*range(200, 0, -1), 0)])
def test_a_router_that_gets_on_is_left_alone(counts):
    assert stuck(log(counts)) == ""


@pytest.mark.parametrize(("router", "used"), [("", "router2"), ("router1", "router1")])
def test_the_router_is_the_one_that_was_chosen(tmp_path, monkeypatch, router, used):
    given = []
    monkeypatch.setattr(place, "run_tool", lambda package, tool, options, folder, watch: given.extend(options))
    with pytest.raises(FileNotFoundError, match=r"report\.json"):
        run_placer("top", "ecp5", Placement(clock_mhz=25, router=router), tmp_path, [], print)
    assert [pair for pair in pairwise(given) if pair[0] == "--router"] == [("--router", used)]


def test_a_tool_that_is_stuck_is_ended(tmp_path, monkeypatch):
    (tmp_path / "endless_tool.py").write_text(
        "import time\n"
        "def run_router(arguments):\n"
        "    print('iter=1 wires=1 overused=9', flush=True)\n"
        "    time.sleep(600)\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(place, "WATCH_SECONDS", 0.2)
    with pytest.raises(PlaceError, match=r"router was ended: routing does not converge: 9 wires"):
        run_tool("endless-tool", "router", [], tmp_path, watch=partial(stuck, patience=0))
