"""The mathematics of a decoder layer, one small file an operator; docs/numerics.md defines the figures."""

from rtlm.hw.kernels.argmax import argmax
from rtlm.hw.kernels.attention import (
    attention_norm,
    attention_output,
    head_output,
    largest_score,
    position_score,
    position_weight,
    probability_sum,
    value_exponent,
)
from rtlm.hw.kernels.gated import gated
from rtlm.hw.kernels.matmul import half_parts, scale_parts, scaled
from rtlm.hw.kernels.quantise import dequantise, dequantise_half, quantise, quantise_head
from rtlm.hw.kernels.residual import residual
from rtlm.hw.kernels.residual_norm import residual_norm
from rtlm.hw.kernels.rmsnorm import norm_input, norm_scalar, rms_scale, rmsnorm
from rtlm.hw.kernels.rope import rope
from rtlm.hw.kernels.scale import accumulator_to_float, scale, scaled_result
from rtlm.hw.kernels.softmax import softmax
from rtlm.hw.kernels.swiglu import swiglu

__all__ = [
    "accumulator_to_float",
    "argmax",
    "attention_norm",
    "attention_output",
    "dequantise",
    "dequantise_half",
    "gated",
    "half_parts",
    "head_output",
    "largest_score",
    "norm_input",
    "norm_scalar",
    "position_score",
    "position_weight",
    "probability_sum",
    "quantise",
    "quantise_head",
    "residual",
    "residual_norm",
    "rms_scale",
    "rmsnorm",
    "rope",
    "scale",
    "scale_parts",
    "scaled",
    "scaled_result",
    "softmax",
    "swiglu",
    "value_exponent",
]
