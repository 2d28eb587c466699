"""Bench of the vector engine; the cocotb side is cocotb_tests.py."""

import json
from dataclasses import asdict
from typing import Any

from rtlm.hw.common.clock_gate import ClockGating
from rtlm.hw.vector.params import VectorParams
from rtlm.hw.vector.unit import VectorEngine
from rtlm.sim.unit_benches.bench import Prepared, verilog_text

PROGRAMS = 12
"""Random programs."""

SMALL: dict[str, Any] = {"max_dim": 96, "max_hidden": 128, "heads": 4, "kv_heads": 2, "context_limit": 40}

SETS = {
    "narrow": VectorParams(lanes=2, columns=1, head_dim=32, word_bytes=64, interval=4, **SMALL),
    "short-heads": VectorParams(
        lanes=4, columns=2, head_dim=8, word_bytes=128, beats_per_word=2, clock_gating=ClockGating.CELLS, **SMALL
    ),
    "long-heads": VectorParams(
        lanes=2,
        columns=3,
        head_dim=256,
        head_parts=4,
        word_bytes=64,
        beats_per_word=4,
        word_interval=4,
        interval=2,
        **SMALL,
    ),
    "wide-words": VectorParams(
        lanes=4, columns=3, head_dim=64, word_bytes=256, interval=8, clock_gating=ClockGating.SIMULATOR, **SMALL
    ),
    "head-inputs": VectorParams(
        lanes=4,
        columns=3,
        head_dim=32,
        word_bytes=64,
        biases=True,
        head_norms=True,
        beats_per_word=2,
        word_interval=2,
        **SMALL,
    ),
    "biases": VectorParams(lanes=2, columns=2, head_dim=8, word_bytes=128, kv_bits=4, biases=True, interval=4, **SMALL),
    "head-norms": VectorParams(
        lanes=2,
        columns=1,
        head_dim=128,
        head_parts=64,
        word_bytes=64,
        kv_bits=4,
        head_norms=True,
        interval=2,
        clock_gating=ClockGating.SIMULATOR,
        **SMALL,
    ),
    "post-norms": VectorParams(
        lanes=2,
        columns=1,
        head_dim=64,
        word_bytes=64,
        head_norms=True,
        post_norms=True,
        gelu=True,
        clock_gating=ClockGating.CELLS,
        **SMALL,
    ),
    "post-norms-columns": VectorParams(
        lanes=4, columns=3, head_dim=32, word_bytes=128, post_norms=True, gelu=True, interval=4, **SMALL
    ),
}


def prepare(params: VectorParams) -> Prepared:
    """Return the unit as Verilog and what its cocotb side has to know."""
    engine = VectorEngine(params)
    intervals = VectorEngine.intervals_of(params)
    return Prepared(
        verilog=verilog_text(engine, "vector_engine"),
        top="vector_engine",
        environment={
            "BENCH_PARAMS": json.dumps(asdict(params)),
            "BENCH_COUNT": str(PROGRAMS),
            "BENCH_LATENCY": json.dumps({epilogue.name: cycles for epilogue, cycles in engine.latency.items()}),
            "BENCH_INTERVALS": json.dumps({epilogue.name: cycles for epilogue, cycles in intervals.items()}),
        },
    )
