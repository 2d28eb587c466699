"""Attention over int8 keys and values in NumPy, bit for bit what the unit computes (docs/numerics.md)."""

import numpy as np
from numpy.typing import NDArray
from rtlm.hw.hls import BF16, F32, to_bits
from rtlm.hw.kernels import attention_norm, attention_output, position_score, position_weight, scale
from rtlm.hw.kernels.attention import SCORE

BF16_EXPONENT = 7
"""Position of the exponent field in the bits of a BF16."""


def attention(
    q: NDArray[np.int16],
    sq: NDArray[np.float32],
    k: NDArray[np.int8],
    sk: NDArray[np.float32],
    v: NDArray[np.int8],
    sv: NDArray[np.float32],
    c0: np.float32,
    mask: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """Attend with queries to the positions of one KV head.

    Leading axes broadcast, for example over KV heads.

    Parameters
    ----------
    q, sq
        Queries, shape (..., queries, head_dim), and their BF16 scales, shape (..., queries).
    k, sk, v, sv
        Keys and values, shape (..., positions, head_dim), and their BF16 scales, shape (..., positions).
    c0
        ``log2(e) / sqrt(head_dim)`` as F32.
    mask
        Which positions each query sees, shape (..., queries, positions); all of them if None.

    Returns
    -------
    NDArray[np.float32]
        Shape (..., queries, head_dim).
    """
    # Sums of products of codes, and of weights and values, stay below 2^53: float64 products are exact and fast.
    dot = np.matmul(q.astype(np.float64), np.swapaxes(k, -1, -2).astype(np.float64)).astype(np.int64)
    sq_c0 = to_bits(scale.model(np.asarray(sq, np.float32), np.float32(c0)), F32)[..., :, None]
    key_scale, value_scale = (to_bits(each, BF16)[..., None, :] for each in (sk, sv))
    s = position_score.model(dot, sq_c0, key_scale)
    exists = np.ones(s.shape, bool) if mask is None else np.broadcast_to(mask, s.shape)
    e = np.maximum(np.where(exists, value_scale >> BF16_EXPONENT, 0).max(axis=-1, keepdims=True), 1)
    m = np.where(exists, s, SCORE.low).max(axis=-1, keepdims=True)
    p, w = position_weight.model(s, m, value_scale, e, exists)
    acc = np.matmul(w.astype(np.float64), v.astype(np.float64)).astype(np.int64)
    factor = attention_norm.model(p.sum(axis=-1, keepdims=True), e)
    return attention_output.model(acc, np.broadcast_to(factor, acc.shape))
