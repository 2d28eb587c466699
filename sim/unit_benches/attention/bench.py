"""Bench of the attention unit; the cocotb side is cocotb_tests.py."""

import gc
import json
import warnings
from dataclasses import asdict

from amaranth.hdl import UnusedElaboratable
from rtlm.hw.attention.array import AttentionArray
from rtlm.hw.attention.output import AttentionOutput
from rtlm.hw.attention.params import AttentionParams
from rtlm.hw.attention.scores import AttentionScores
from rtlm.hw.attention.unit import AttentionUnit
from rtlm.sim.unit_benches.bench import Prepared, verilog_text

TRIALS = 14
"""Commands with random sizes and data."""

SETS = {
    # A position a cycle, as in the common case.
    "position": AttentionParams(
        head_dim=64, group=3, kv_heads=2, columns=1, context_limit=70, word_bytes=64, bytes_per_cycle=64
    ),
    # Several positions a cycle, and windows.
    "positions": AttentionParams(
        head_dim=8,
        group=1,
        kv_heads=3,
        columns=2,
        context_limit=75,
        word_bytes=64,
        bytes_per_cycle=64,
        vector_lanes=4,
        windows=True,
    ),
    # Several positions a word, one a cycle, and windows.
    "chunks": AttentionParams(
        head_dim=32,
        group=3,
        kv_heads=1,
        columns=3,
        context_limit=77,
        word_bytes=128,
        bytes_per_cycle=32,
        windows=True,
    ),
    # Several cycles a position of 4-bit codes, and windows.
    "steps": AttentionParams(
        head_dim=64,
        group=2,
        kv_heads=2,
        columns=2,
        context_limit=35,
        word_bytes=64,
        bytes_per_cycle=8,
        windows=True,
        kv_bits=4,
    ),
    # Four words a position, and a slow clock.
    "words": AttentionParams(
        head_dim=256,
        group=1,
        kv_heads=2,
        columns=2,
        context_limit=33,
        word_bytes=64,
        bytes_per_cycle=32,
        clock_mhz=100,
    ),
    # Positions in parts of a word.
    "parts": AttentionParams(
        head_dim=16,
        group=2,
        kv_heads=2,
        columns=3,
        context_limit=64,
        word_bytes=128,
        bytes_per_cycle=32,
        clock_mhz=150,
    ),
    # Multipliers with registers and sums inside.
    "blocks": AttentionParams(
        head_dim=32,
        group=3,
        kv_heads=2,
        columns=2,
        context_limit=45,
        word_bytes=64,
        bytes_per_cycle=32,
        technology="xilinx-us+",
    ),
    # The same multipliers, but several of them have one sum.
    "blocks-of-positions": AttentionParams(
        head_dim=8,
        group=2,
        kv_heads=2,
        columns=2,
        context_limit=50,
        word_bytes=32,
        bytes_per_cycle=32,
        technology="xilinx-us+",
    ),
    # Codes of 4 bits in multipliers with sums inside, and windows.
    "nibbles": AttentionParams(
        head_dim=16,
        group=3,
        kv_heads=2,
        columns=2,
        context_limit=45,
        word_bytes=32,
        bytes_per_cycle=8,
        windows=True,
        kv_bits=4,
        technology="xilinx-us+",
    ),
    # As many positions a cycle as a word has scales.
    "nibbles-of-positions": AttentionParams(
        head_dim=8,
        group=2,
        kv_heads=1,
        columns=2,
        context_limit=50,
        word_bytes=32,
        bytes_per_cycle=32,
        kv_bits=4,
    ),
}


def prepare(params: AttentionParams) -> Prepared:
    """Return the unit as Verilog and what its cocotb side has to know."""
    return Prepared(
        verilog=verilog_text(AttentionUnit(params), "attention_unit"),
        top="attention_unit",
        environment={
            "BENCH_PARAMS": json.dumps(asdict(params)),
            "BENCH_COUNT": str(TRIALS),
            "BENCH_LATENCY": str(_latency(params)),
        },
    )


def _latency(params: AttentionParams) -> int:
    """Return the cycles from a head's last key to its first value, and from its last value to the first result."""
    with warnings.catch_warnings():
        # Parts that are made to be asked only; Amaranth complains about that when they are collected.
        warnings.simplefilter("ignore", UnusedElaboratable)
        parts = AttentionScores(params), AttentionOutput(params)
        cycles = sum(part.latency for part in parts)
        del parts
        gc.collect()
    return AttentionArray.dot_latency(params) + AttentionArray.axpy_latency(params) + cycles
