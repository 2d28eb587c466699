"""The matrix product of weight blocks and activation blocks, bit for bit as the gates compute it (docs/numerics.md)."""

import numpy as np
from numpy.typing import NDArray
from rtlm.hw.formats.blocks import BLOCK, Blocks
from rtlm.hw.kernels.matmul import scaled
from rtlm.hw.kernels.scale import ACC_BITS


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
    s = scale.T.astype(np.int64)
    out = np.empty((weights.rows, vectors), dtype=np.int64)
    for start in range(0, weights.rows, chunk_rows):
        rows = slice(start, start + chunk_rows)
        codes = np.ascontiguousarray(weights.u[rows].transpose(1, 0, 2), dtype=np.float32)
        dot = np.matmul(codes, activations).astype(np.int64)
        terms = scaled.model(dot - weights.format.zero * total[:, None, :], _by_block(weights.d[rows]), s[:, None, :])
        acc = terms.sum(axis=0)
        if weights.m is not None:
            acc += scaled.model(total[:, None, :], _by_block(weights.m[rows]), s[:, None, :]).sum(axis=0)
        out[rows] = acc
    spare = 64 - ACC_BITS
    return (out << spare >> spare).T


def _by_block(halves: NDArray[np.uint16]) -> NDArray[np.int64]:
    return halves.T[..., None].astype(np.int64)
