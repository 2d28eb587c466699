"""Weights as bytes of a file: near the weights, ggml's bytes where the quantiser is ours, or refused in a sentence."""

import json
from pathlib import Path

import numpy as np
import pytest
from rtlm.host.cli.convert import FORMATS
from rtlm.host.conversion.k_quants import SEARCHES, quantise_k
from rtlm.host.conversion.quantisation import FALLBACKS, format_of_rows, quantise
from rtlm.host.errors import ModelError
from rtlm.hw.formats import BlockFormat, Blocks

GGML = json.loads((Path(__file__).parents[2] / "data" / "ggml_k_quants.json").read_text(encoding="utf-8"))
OFFERED = [BlockFormat[name.upper()] for name in FORMATS]

ERRORS = {
    "q8_0": (0.0055, 0.0095),
    "q6_k": (0.018, 0.027),
    "q5_k": (0.037, 0.050),
    "q5_1": (0.039, 0.052),
    "q5_0": (0.044, 0.072),
    "q4_k": (0.073, 0.098),
    "q4_1": (0.080, 0.105),
    "q4_0": (0.088, 0.135),
    "mxfp4": (0.117, 0.150),
    "q3_k": (0.155, 0.197),
    "q2_k": (0.305, 0.370),
    "tq2_0": (0.83, 0.83),
    "tq1_0": (0.83, 0.83),
}
"""Bounds of relative errors (roots of mean squares) of Gaussian weights and of those of Student's t with 3 degrees."""


def dequantised(format, weights):
    """The weights as the gates read them."""
    return Blocks.from_gguf(format, quantise("w", weights, format).reshape(-1), *weights.shape).dequantise()


def relative_error(format, weights):
    return np.sqrt(np.square(dequantised(format, weights) - weights).sum() / np.square(weights).sum())


def test_every_format_is_offered_that_something_quantises_to():
    assert set(OFFERED) == set(BlockFormat) - {BlockFormat.IQ4_NL}
    assert {format for format in OFFERED if format.description.pack} == SEARCHES.keys()
    assert {format for format in OFFERED if format.block_weights == 256} == FALLBACKS.keys()


@pytest.mark.parametrize("format", SEARCHES)
def test_bytes_are_those_of_ggml(format):
    """A Gaussian, a heavy-tailed and a skewed super-block."""
    weights = np.array(GGML["weights_times_4096"], np.float32).reshape(3, 256) / np.float32(4096)
    assert quantise("w", weights, format).tobytes().hex() == GGML["blocks"][format.name]


@pytest.mark.parametrize("tails", ["Gaussian", "heavy"])
def test_errors_grow_as_formats_shrink(tails):
    random = np.random.default_rng(3)
    weights = random.standard_normal((32, 1024)) if tails == "Gaussian" else random.standard_t(3, (32, 1024))
    errors = [relative_error(format, 0.02 * weights.astype(np.float32)) for format in OFFERED]
    print(tails, dict(zip(FORMATS, errors, strict=True)))
    for name, error in zip(FORMATS, errors, strict=True):
        assert error < ERRORS[name][tails == "heavy"], name
    assert errors == sorted(errors)


@pytest.mark.parametrize("format", OFFERED)
def test_zeros(format):
    weights = np.random.default_rng(4).standard_normal((3, 512)).astype(np.float32)
    weights[1] = 0
    weights[2, :256] = 0
    found = dequantised(format, weights)
    assert not found[1].any() and not found[2, :256].any()
    assert found[0].any() and found[2, 256:].any()


@pytest.mark.parametrize("value", [0.7, -0.7])
@pytest.mark.parametrize("format", SEARCHES)
def test_constant_rows(format, value):
    found = dequantised(format, np.full((1, 256), value, np.float32))
    np.testing.assert_allclose(found, value, rtol=2.0**-9)


@pytest.mark.parametrize("format", SEARCHES)
def test_magnitudes(format):
    """Errors do not depend on the magnitude while fp16 has the scales; below it weights become 0, above are refused."""
    weights = np.random.default_rng(5).standard_normal((2, 512)).astype(np.float32)
    error = relative_error(format, weights)
    assert relative_error(format, weights * np.float32(1e5)) == pytest.approx(error, rel=0.01)
    for scale in (1e-10, 1e-30, 1e-42):
        assert not dequantised(format, weights * np.float32(scale)).any()
    for scale in (1e9, 1e30):
        with pytest.raises(ModelError, match=f"the scales of the tensor w in {format.name} must be at most 65504"):
            quantise("w", weights * np.float32(scale), format)


@pytest.mark.parametrize("format", OFFERED)
def test_what_is_refused(format):
    weights = np.full((2, 256), 0.5, np.float32)
    weights[1, 7] = np.inf
    with pytest.raises(ModelError, match=r"the weights of the tensor w.* got inf"):
        quantise("w", weights, format)


def test_other_formats_have_no_search():
    with pytest.raises(ValueError, match="format must be one of Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, got Q4_0"):
        quantise_k(BlockFormat.Q4_0, np.zeros((1, 32), np.float32))


def test_rows_that_hold_no_blocks():
    assert format_of_rows(BlockFormat.Q4_K, 512) is BlockFormat.Q4_K
    assert format_of_rows(BlockFormat.Q4_K, 576) is BlockFormat.Q5_0
    assert format_of_rows(BlockFormat.Q4_0, 576) is BlockFormat.Q4_0
    with pytest.raises(ModelError, match="rows of matrices must be a multiple of 32 weights, got 80"):
        format_of_rows(BlockFormat.Q4_0, 80)
