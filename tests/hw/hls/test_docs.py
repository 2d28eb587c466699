"""docs/hls.md runs, and what it defines is GELU and soft-capping."""

import numpy as np
import pytest
from rtlm.hw import hls
from rtlm.hw.hls import BF16, F32, SInt, UInt

from tests.documents import run_page


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return run_page("hls.md", tmp_path_factory.mktemp("page"))


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_page(page):
    x = np.linspace(-20, 20, 401, dtype=np.float32)
    wide = x.astype(np.float64)
    gelu = 0.5 * wide * (1 + np.tanh(np.sqrt(2 / np.pi) * (wide + 0.044715 * wide**3)))
    assert np.allclose(page["gelu"].model(x), gelu, rtol=2e-6, atol=2e-6)
    assert np.allclose(page["soft_cap"].model(x, np.float32(5)), 5 * np.tanh(wide / 5), rtol=2e-6, atol=2e-6)
    assert page["soft_cap"].model(np.float32(1e30), np.float32(5)) == 5
    assert page["soft_cap"].schedule(lanes=4).operators["F32 recip"] == 5
    with pytest.raises(
        hls.KernelError, match=r"block\d+\.py:6: Kernels have no \*\*; write x \* x for a square, sqrt\(x\)"
    ):
        _ = page["root"].graph
    assert np.allclose(page["share"].model(x), wide / np.abs(wide).sum(), rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: hls.kernel(lambda: None), "return annotation"),
        (lambda: _traced(F32, F32, hls.stream_sum, UInt(8)), "convert to fixed point first"),
        (lambda: _traced(F32, F32, lambda x: x + 1 if x > 0 else x), "use select"),
        (lambda: _traced(F32, SInt(8), lambda x: x), "annotated to return SInt"),
        (lambda: _traced(UInt(8), UInt(8), lambda x: x * 0.5), "to_float"),
        (lambda: _traced(UInt(60), UInt(60), lambda x: x * x), "clamp or wrap"),
        (lambda: _traced(F32, F32, lambda x: x + hls.convert(x, BF16)), "bring both to one type"),
        (lambda: _traced(F32, F32, lambda x: hls.recip_exact(x)), "takes BF16"),
        (lambda: hls.Float(9, 10), "2 to 8 exponent bits"),
        (lambda: hls.SInt(65), "1 to 64 bits"),
    ],
)
def test_errors_are_sentences(build, words):
    with pytest.raises((TypeError, ValueError), match=words):
        build()


def _traced(source, result, body, *more):
    def function(x: source) -> result:
        return body(x, *more)

    return hls.kernel(function).graph


def test_component_and_technology_errors():
    from rtlm.hw.kernels import softmax, swiglu

    with pytest.raises(ValueError, match="give max_length"):
        softmax.component()
    with pytest.raises(ValueError, match="choose one of"):
        swiglu.schedule(technology="relay")
    with pytest.raises(ValueError, match="use a slower clock"):
        swiglu.schedule(technology="ecp5", clock_mhz=900)
    with pytest.raises(TypeError, match="takes 2 arrays"):
        swiglu.model(np.float32(1))
