"""The attention model against exact arithmetic, and the unit's parameters; its gates: test_benches.py."""

from dataclasses import replace

import numpy as np
import pytest
from rtlm.gen.configuration.load import load_config, preset_names
from rtlm.hw.attention.array import AttentionArray
from rtlm.hw.attention.model import attention
from rtlm.hw.attention.output import AttentionOutput
from rtlm.hw.attention.scores import AttentionScores
from rtlm.hw.attention.unit import AttentionUnit
from rtlm.hw.kernels import probability_sum
from rtlm.hw.unit_params import unit_params
from rtlm.sim.unit_benches.attention.bench import SETS


def test_model_is_attention(seed):
    rng = np.random.default_rng(seed)
    dim, positions, queries = 64, 200, 3
    q, k, v = (rng.integers(-127, 128, (n, dim)).astype(np.int8) for n in (queries, positions, positions))
    sq, sk, sv = (
        np.float32(2.0) ** rng.integers(-9, -4, n).astype(np.float32) for n in (queries, positions, positions)
    )
    q = q * np.int16(2) + rng.integers(-1, 2, q.shape, np.int16)
    o = attention(q, sq, k, sk, v, sv, np.float32(np.log2(np.e) / np.sqrt(dim)))
    s = (q / 2 * sq[:, None].astype(float)) @ (k * sk[:, None].astype(float)).T / np.sqrt(dim)
    p = np.exp(s - s.max(axis=-1, keepdims=True))
    exact = p / p.sum(axis=-1, keepdims=True) @ (v * sv[:, None].astype(float))
    assert np.abs(o - exact).max() < 2e-4 * np.abs(v * sv[:, None]).max()


def test_model_order_and_mask_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    q, k, v = (rng.integers(-127, 128, (2, n, 32)).astype(np.int8) for n in (3, 50, 50))
    sq, sk, sv = (rng.integers(1, 9, (2, n)).astype(np.float32) / 64 for n in (3, 50, 50))
    c0, order = np.float32(0.2), rng.permutation(30)
    o = attention(q, sq, k[:, :30], sk[:, :30], v[:, :30], sv[:, :30], c0)
    assert np.array_equal(o, attention(q, sq, k[:, order], sk[:, order], v[:, order], sv[:, order], c0))
    mask = np.arange(50) < np.full((2, 3, 1), 30)
    assert np.array_equal(o, attention(q, sq, k, sk, v, sv, c0, mask))


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize("name", preset_names())
def test_scores_of_the_history_fill_their_memory(name):
    """No row for this step's positions: with a context of 2,048, a 2,049th row would take another block memory."""
    params = unit_params(load_config(name).to_params()).attention
    parts = AttentionScores(params).elaborate(None).submodules
    assert parts.scores.depth * params.positions == params.context_limit
    assert parts.local_scores.depth == max(2, params.columns)


@pytest.mark.parametrize("clock_mhz", [1, 10, 300])
@pytest.mark.parametrize("name", SETS)
def test_sums_are_there_when_the_first_leave(name, clock_mhz):
    """Between the last value and the first sums that leave are the sum of the probabilities and the norm."""
    params = replace(SETS[name], clock_mhz=min(clock_mhz, SETS[name].clock_mhz))
    denominator = probability_sum.schedule(lanes=params.positions, **params.pipeline).latency
    begin = denominator + AttentionUnit.sum_wait(params)
    assert AttentionArray.axpy_latency(params) <= begin + AttentionOutput.latency_of(params)[0]
    assert clock_mhz < 300 or AttentionUnit.sum_wait(params) == 0


def test_sums_are_in_blocks_where_a_block_has_one_sum():
    blocks, shared = SETS["blocks"], SETS["blocks-of-positions"]
    assert (blocks.product_blocks, blocks.sum_blocks) == (True, True)
    assert (shared.product_blocks, shared.sum_blocks) == (True, False)
    assert not replace(blocks, technology="ecp5", clock_mhz=25).product_blocks
    assert not replace(blocks, bytes_per_cycle=8).product_blocks


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"head_dim": 24}, "head_dim must be a power of two from 8 to 256, got 24"),
        ({"bytes_per_cycle": 128}, "bytes_per_cycle must be a power of two from 4 to 64, got 128"),
        ({"bytes_per_cycle": 48}, "bytes_per_cycle must be a power of two from 4 to 64, got 48"),
        ({"context_limit": 65536}, r"context_limit \+ columns must be from 2 to 65536, got 65537"),
        ({"columns": 9}, "columns must be from 1 to 8, got 9"),
        ({"vector_lanes": 3}, "vector_lanes must be a power of two from 1 to 64, got 3"),
    ],
)
def test_parameters_are_checked(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        replace(SETS["position"], **change)
