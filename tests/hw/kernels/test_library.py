"""The library's kernels: against their definitions, and gates against model at several numbers of lanes."""

import numpy as np
import pytest
from rtlm.hw import hls
from rtlm.hw.kernels import library
from rtlm.hw.kernels.library.fir import TAPS
from rtlm.hw.kernels.library.gemv_tile import ROWS
from rtlm.hw.kernels.library.qmatmul import BLOCK
from rtlm.hw.kernels.library.top_k import LEAST

from tests.hw.hls.nests import check_nest
from tests.hw.hls.simulate import check
from tests.hw.hls.simulate_region import check as check_region

PACKET = 7
COMMANDS = {"matmul": [(2, 3, 9), (3, 0, 1), (1, 2, 32)], "conv2d": [(2, 5), (0, 1), (3, 2)]}
"""Arguments for kernels with loops."""


@pytest.fixture
def rng(seed):
    return np.random.default_rng(seed)


def integers(rng, bits, *shape):
    return rng.integers(-(1 << bits - 1), 1 << bits - 1, shape)


def test_gemv(rng):
    w, x = integers(rng, 8, 5, 48), integers(rng, 8, 48)
    assert np.array_equal(library.gemv.model(w, x), w @ x)


def test_gemv_tile(rng):
    tiles, columns = 3, 64
    w, x = integers(rng, 8, tiles, ROWS, columns), integers(rng, 8, tiles, columns)
    exact = np.einsum("trc,tc->tr", w, x)
    assert np.array_equal(library.gemv_tile.model(w.reshape(-1, columns // 16, 16), x), exact.reshape(-1))


def test_qmatmul(rng):
    rows, blocks = 6, 9
    q, x = rng.integers(0, 16, (rows, blocks, BLOCK)), integers(rng, 8, blocks, BLOCK)
    d = rng.uniform(1e-3, 1e-2, (rows, blocks)).astype(np.float16).astype(np.float32)
    s = rng.uniform(1e-3, 1e-2, blocks).astype(np.float32)
    exact = ((q - 8.0) * x * d[..., None] * s[:, None].astype(np.float64)).sum((1, 2))
    # Each block's term is rounded three times in float32 and once to 2**-24, the sum once.
    terms = np.abs(((q - 8.0) * x).sum(2) * d * s).sum(1)
    bound = terms * 4 * 2.0**-24 + blocks * 2.0**-25
    assert (np.abs(library.qmatmul.model(q, d, x, s) - exact) <= bound).all()


def test_softmax_columns(rng):
    s = rng.normal(0, 3, (PACKET, 4)).astype(np.float32)
    e = np.exp(s.astype(np.float64))
    assert np.allclose(library.softmax_columns.model(s), e / e.sum(0), rtol=2e-6, atol=1e-7)


def test_layernorm(rng):
    x = rng.normal(3, 2, (PACKET, 4)).astype(np.float32)
    wide = x.astype(np.float64)
    exact = (wide - wide.mean(0)) / np.sqrt(wide.var(0) + 1e-5)
    got = library.layernorm_columns.model(x, np.float32(1 / PACKET), np.float32(1e-5))
    assert np.allclose(got, exact, atol=1e-4)
    assert np.array_equal(library.layernorm.model(x[:, 2], np.float32(1 / PACKET), np.float32(1e-5)), got[:, 2])


def test_attention(rng):
    positions, head = 50, 8
    q, k, v = integers(rng, 8, head), integers(rng, 8, positions, head), integers(rng, 8, positions, head)
    scale = np.float32(np.log2(np.e) / 2000)
    scores = np.exp2((k @ q) * scale.astype(np.float64))
    exact = scores @ v / scores.sum()
    got = library.attention.model(k, v, np.broadcast_to(q, k.shape), np.full(positions, scale))
    assert np.allclose(got, exact, rtol=2e-5, atol=2e-4)


def test_conv1d(rng):
    x, w = integers(rng, 8, 20, 4), integers(rng, 8, 4, 3)
    exact = sum(np.convolve(x[:, c], w[c])[:20] for c in range(4))
    assert np.array_equal(library.conv1d.model(x, np.broadcast_to(w, (20, 4, 3))), exact)


def test_fir(rng):
    x = integers(rng, 16, 40)
    assert np.array_equal(library.fir.model(x), np.convolve(x, TAPS)[:40])


def test_prefix_sum(rng):
    x = integers(rng, 16, 40)
    assert np.array_equal(library.prefix_sum.model(x), np.cumsum(x))


def test_histogram(rng):
    x = rng.integers(0, 16, 100)
    assert np.array_equal(library.histogram.model(x), np.bincount(x, minlength=16))


def test_top_k(rng):
    x = rng.integers(-5, 5, 30)  # many equals
    order = np.argsort(-x, kind="stable")[:4]
    best = library.top_k.model(x)
    assert np.array_equal(best.value, x[order]) and np.array_equal(best.place, order)
    assert library.top_k.model(x[:2]).value.tolist()[2:] == [LEAST, LEAST]


def test_systolic(rng):
    a, b = integers(rng, 8, 4, 10), integers(rng, 8, 10, 4)
    drain = np.zeros((6, 4), dtype=int)
    assert np.array_equal(library.systolic.model(np.vstack([a.T, drain]), np.vstack([b, drain])), a @ b)


def test_matmul(rng):
    a, b = integers(rng, 8, 32, 32), integers(rng, 8, 32, 32)
    product = library.matmul.model(a.reshape(-1), b.T.reshape(-1), 5, 9, 32)
    assert np.array_equal(product, a[:5] @ b[:, :9])
    assert library.matmul.schedule(lanes=4).operators["SInt(8) integer multiply"] == 4
    assert not any("UInt" in name and "multiply" in name for name in library.matmul.schedule(lanes=4).operators)


def test_conv2d(rng):
    image, taps = rng.integers(0, 256, (32, 32)), integers(rng, 8, 3, 3)
    windows = np.lib.stride_tricks.sliding_window_view(image, (3, 3))
    got = library.conv2d.model(image.reshape(-1), taps.reshape(-1), 30, 29)
    assert np.array_equal(got, np.einsum("yxvu,vu->yx", windows, taps)[:30, :29])


def test_every_kernel_is_tested():
    columns = {"softmax": "softmax_columns", "layernorm": "layernorm_columns"}
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert set(library.__all__) <= tested | {*columns, *columns.values()}


def test_regions_gates(seed):
    check_region(library.gemv_tile, max_length=64, beats=200, seed=seed)


@pytest.mark.parametrize("lanes", [1, 2, 4])
@pytest.mark.parametrize("name", [n for n in library.__all__ if isinstance(getattr(library, n), hls.Kernel)])
def test_gates(name, lanes, seed):
    if name == "attention" and lanes > 1:
        pytest.skip("minutes: its elements follow each other, lanes gain nothing")
    if name in COMMANDS:
        check_nest(getattr(library, name), COMMANDS[name], lanes=lanes, keep=(0,), seed=seed)
        return
    waits = name.startswith(("softmax", "layernorm"))
    check(
        getattr(library, name), lanes=lanes, longest=PACKET, max_length=PACKET if waits else None, beats=24, seed=seed
    )


def test_vectors_may_be_memory_words(rng):
    type_ = library.qmatmul.declared["x"]
    assert str(type_) == "Ram[Vec[SInt(8), 32], 128]"
    with pytest.raises(ValueError, match=r"reads word 5 of memory x, which was given 5 words"):
        library.qmatmul.model(np.zeros((6, 32), int), np.zeros(6), np.zeros((5, 32), int), np.zeros(6))
    with pytest.raises(ValueError, match=r"the last axes of its array are \(32,\), got an array of shape \(6, 31\)"):
        library.qmatmul.model(np.zeros((6, 31), int), np.zeros(6), np.zeros((5, 32), int), np.zeros(6))
    with pytest.raises(ValueError, match="takes 1 to 1024 words"):
        library.gemv.model(np.zeros(1025, int), np.zeros(1025, int))
    with pytest.raises(ValueError, match="has 1024 words, which 4096 lanes do not divide"):
        library.gemv.schedule(lanes=4096)


def test_the_interval_and_why():
    one = library.attention.schedule(clock_mhz=300)
    assert one.initiation_interval > 10
    (reason,) = one.limits
    assert reason.startswith("hw/kernels/library/attention.py:") and "the state of a scan or fold takes" in reason
    slow = library.attention.schedule(clock_mhz=50)
    assert slow.initiation_interval < one.initiation_interval
    with pytest.raises(ValueError, match=r"attention takes a beat every \d+ cycles, not every 2"):
        library.attention.schedule(ii=2)
    assert library.gemv.schedule(ii=3).initiation_interval == 3
    check(library.gemv, ii=3, lanes=2, longest=5, beats=20)
    check(hls.kernel(doubled), ii=9, beats=20)


def test_memories_are_bound_to_what_was_asked_for():
    bound = library.gemv.component(bind={"x": "ultra"})
    assert bound.memories["x"].style == "ultra" and library.gemv.component().memories["x"].style == ""
    with pytest.raises(ValueError, match="gemv has no memory y to bind; its memories are x"):
        library.gemv.schedule(bind={"y": "block"})
    with pytest.raises(ValueError, match=r"x is bound to one of block, distributed, ultra if .* not to 'gold'"):
        hls.Directives(bind={"x": "gold"})
    with pytest.raises(ValueError, match="ii is a number of cycles from 1 to 256, not 0"):
        hls.Directives(ii=0)
    with pytest.raises(ValueError, match="lanes is a positive number, not 0"):
        hls.Directives(lanes=0)


def doubled(x: hls.UInt(4)) -> hls.UInt(5):
    return x + x
