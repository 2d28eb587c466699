"""docs/counters.md: every counter is explained, by the names that gates and bench have."""

import re
from pathlib import Path

from rtlm.host.pages import generated_page
from rtlm.host.reports.causes import CAUSES
from rtlm.host.reports.page import ADVICE, ADVICE_OF_EVENTS
from rtlm.hw.control.counters import COUNTERS, EVENTS
from rtlm.hw.control.isa import OPERATOR_MEANINGS, Operator
from rtlm.hw.registers.accelerator import register_map
from rtlm.sim.accelerator import TOTALS

BENCH = Path(__file__).resolve().parents[3] / "sim" / "native" / "bench.cpp"


def test_everything_that_is_counted_is_explained():
    assert OPERATOR_MEANINGS.keys() == set(Operator)
    assert ADVICE_OF_EVENTS.keys() == EVENTS.keys()
    assert ADVICE.keys() == CAUSES.keys()


def test_names_are_those_that_the_bench_counts():
    names = BENCH.read_text(encoding="utf-8").partition("#define RTLM_COUNTERS(X)")[2].partition("#define X(name)")[0]
    assert re.findall(r"X\((\w+)\)", names) == list(TOTALS)


def test_page_has_each_register():
    page = generated_page("counters.md")
    offsets = {register.name: register.offset for register in register_map(1).registers}
    assert all(f"{offsets[name]:#05x}" in page for name in COUNTERS)
