"""Bench of the self-test as it goes to a board, in Verilator: its text, its LEDs, and that it can fail."""

import json
from functools import partial

from rtlm.gen.configuration.load import load_config
from rtlm.gen.configuration.schema import Configuration
from rtlm.gen.package.selftest import TOP, emit_selftest
from rtlm.gen.package.shell import SHELLS
from rtlm.host.verification.selftest import make_case
from rtlm.hw.board import Kind
from rtlm.hw.control.errors import Error
from rtlm.sim.unit_benches.bench import Bench, Prepared

UNIT = "selftest"
MODULE = "rtlm.sim.unit_benches.selftest.cocotb_tests"
SHELL = SHELLS["ulx3s"]


def selftest_benches(config: Configuration | None = None) -> list[Bench]:
    """Return the bench of a configuration's self-test, by default that of the board's preset."""
    config = config or load_config(SHELL.preset)
    return [Bench(unit=UNIT, name=config.name, module=MODULE, prepare=partial(prepare, config))]


def prepare(config: Configuration) -> Prepared:
    """Return the self-test as Verilog, and what has to come of it."""
    case = make_case(config, clock_hz=SHELL.clock_hz)
    rows = case.params.rows

    def of_kind(*kinds: Kind) -> list[int]:
        return [n for n, row in enumerate(rows) if row.kind in kinds]

    expected = {
        "divisor": case.params.divisor,
        "steps": len(case.tokens) - 1,
        "beats": case.params.depth,
        "token": case.tokens[-1],
        "values": [row.value for row in rows],
        "comparisons": of_kind(Kind.EXPECT, Kind.DIGEST),
        "errors": of_kind(Kind.ERROR),
        "program_error": Error.PROGRAM_CHECKSUM.value,
    }
    return Prepared(
        verilog=emit_selftest(SHELL, case.params).verilog,
        top=TOP,
        files={"selftest.json": json.dumps(expected).encode()},
    )
