"""Attention over int8 keys and values in NumPy, bit for bit what the unit computes (docs/numerics.md)."""

import numpy as np
from numpy.typing import NDArray
from rtlm.hw.hls import F32, to_bits
from rtlm.hw.kernels import attention_norm, attention_output, scale, score, score_scale, softmax_weight

BF16_EXPONENT = 23
"""Position of the exponent field in the bits of an F32 that holds a BF16."""


def attention(
    q: NDArray[np.int8],
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
    # Sums of products of bytes, and of weights and values, stay below 2^53: float64 products are exact and fast.
    dot = np.matmul(q.astype(np.float64), np.swapaxes(k, -1, -2).astype(np.float64)).astype(np.int64)
    sq_c0 = scale.model(np.asarray(sq, np.float32), np.float32(c0))
    s = score.model(dot, score_scale.model(sq_c0[..., :, None], sk[..., None, :]))
    exponent = (to_bits(np.asarray(sv, np.float32), F32).astype(np.int64) >> BF16_EXPONENT & 255)[..., None, :]
    exponent = np.broadcast_to(exponent, s.shape)
    if mask is not None:
        s = np.where(mask, s, np.float32(-np.inf))
        exponent = np.where(mask, exponent, 0)
    e = np.maximum(exponent.max(axis=-1, keepdims=True), 1)
    p, w = softmax_weight.model(s, s.max(axis=-1, keepdims=True), np.broadcast_to(sv[..., None, :], s.shape), e)
    if mask is not None:
        p, w = np.where(mask, p, 0), np.where(mask, w, 0)
    acc = np.matmul(w.astype(np.float64), v.astype(np.float64)).astype(np.int64)
    factor = attention_norm.model(p.sum(axis=-1, keepdims=True), e)
    return attention_output.model(acc, np.broadcast_to(factor, acc.shape))
