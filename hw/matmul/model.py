"""The matrix product of weight blocks and activation blocks, bit for bit as the gates compute it (docs/numerics.md)."""

import numpy as np
from numpy.typing import NDArray
from rtlm.hw.formats.blocks import BLOCK, Blocks
from rtlm.hw.kernels.scale import ACC_BITS, ACCUMULATOR_FRACTION

MAX_LEFT_SHIFT = 47
MAX_RIGHT_SHIFT = 45

FP16_BIAS = 25
"""An fp16 is ``sig * 2^(max(e, 1) - 25)`` with an integer significand of 11 bits."""

BF16_BIAS = 134
"""A BF16 scale is ``sig * 2^(e - 134)`` with an integer significand of 8 bits."""

TERM_BIAS = FP16_BIAS + BF16_BIAS - ACCUMULATOR_FRACTION
"""Exponent fields of weight and activation scale minus this give the left shift of a term."""


def fp16_parts(bits: NDArray[np.uint16]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return signed integer significand and exponent ``max(e, 1)`` of fp16 bit patterns; exponent 31 is not special."""
    wide = bits.astype(np.int64)
    exponent = (wide >> 10) & 31
    significand = (wide & 1023) + 1024 * (exponent != 0)
    return np.where(wide >> 15, -significand, significand), np.maximum(exponent, 1)


def bf16_parts(bits: NDArray[np.uint16]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return integer significand and exponent field of non-negative BF16 bit patterns; exponent 0 is zero."""
    wide = bits.astype(np.int64)
    exponent = (wide >> 7) & 255
    return np.where(exponent == 0, 0, (wide & 127) + 128), exponent


def shift_term(p: NDArray[np.int64], shift: NDArray[np.int64]) -> NDArray[np.int64]:
    """Shift left by `shift`, or right with rounding half up where it is negative; modulo 2^64."""
    right = np.clip(-shift, 0, MAX_RIGHT_SHIFT)
    half = np.where(right > 0, np.int64(1) << np.maximum(right - 1, 0), 0)
    return ((p + half) >> right) << np.clip(shift, 0, MAX_LEFT_SHIFT)


def wrap(acc: NDArray[np.int64]) -> NDArray[np.int64]:
    """Reduce to the accumulator's 48 bits, sign-extended."""
    spare = 64 - ACC_BITS
    return (acc << spare) >> spare


def accumulate(
    weights: Blocks, a: NDArray[np.int8], scale: NDArray[np.uint16], *, chunk_rows: int = 1024
) -> NDArray[np.int64]:
    """Multiply a blocked matrix with blocked int8 activation vectors.

    Parameters
    ----------
    weights
        Matrix of (rows, blocks).
    a
        Activations, shape (vectors, blocks, 32).
    scale
        Their BF16 scales as bit patterns, shape (vectors, blocks).
    chunk_rows
        Rows evaluated at once, which bounds the working memory; the result does not depend on it.

    Returns
    -------
    NDArray[np.int64]
        48-bit accumulators with unit 2^-24, shape (vectors, rows).
    """
    vectors, k_blocks, _ = a.shape
    if (k_blocks, a.shape[2]) != (weights.k_blocks, BLOCK):
        raise ValueError(f"activations of shape {a.shape} do not fit {weights.k_blocks} blocks of {BLOCK} weights")
    # Sums of 32 products stay below 2^24, so a float32 matrix product is exact.
    activations = np.ascontiguousarray(a.transpose(1, 2, 0), dtype=np.float32)
    total = a.sum(axis=-1, dtype=np.int64).T
    s_sig, s_exp = (part.T for part in bf16_parts(scale))
    out = np.empty((weights.rows, vectors), dtype=np.int64)
    for start in range(0, weights.rows, chunk_rows):
        rows = slice(start, start + chunk_rows)
        codes = np.ascontiguousarray(weights.u[rows].transpose(1, 0, 2), dtype=np.float32)
        dot = np.matmul(codes, activations).astype(np.int64)
        d_sig, d_exp = (part.T[..., None] for part in fp16_parts(weights.d[rows]))
        product = (dot - weights.format.zero * total[:, None, :]) * d_sig * s_sig[:, None, :]
        acc = shift_term(product, d_exp + s_exp[:, None, :] - TERM_BIAS).sum(axis=0)
        if weights.m is not None:
            m_sig, m_exp = (part.T[..., None] for part in fp16_parts(weights.m[rows]))
            product = (total * s_sig)[:, None, :] * m_sig
            acc += shift_term(product, m_exp + s_exp[:, None, :] - TERM_BIAS).sum(axis=0)
        out[rows] = acc
    return wrap(out).T
