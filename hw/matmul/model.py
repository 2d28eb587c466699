"""The matrix product of weight blocks and activation blocks, bit for bit as the gates compute it (docs/numerics.md)."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rtlm.hw.formats.blocks import BLOCK, Blocks
from rtlm.hw.kernels.matmul import factored, scaled
from rtlm.hw.kernels.scale import ACC_BITS


class Term(NamedTuple):
    """What is added to a row's accumulator for each block.

    Attributes
    ----------
    weights
        Which of the block's 32 weights, and their activations, are summed.
    integers
        What the activations are multiplied with before they are summed, float32, shape (rows, blocks, weights); None
        where they are summed alone.
    scales, factors
        What the sums are scaled with, shape (rows, blocks).
    """

    weights: slice
    integers: NDArray[np.float32] | None
    scales: NDArray[np.uint16]
    factors: NDArray[np.int8] | None


def terms(weights: Blocks) -> list[Term]:
    """Return the terms of a matrix: of the codes and of the minima, or of the codes of each half."""
    whole, first, second = slice(0, BLOCK), slice(0, BLOCK // 2), slice(BLOCK // 2, BLOCK)
    codes = weights.u.astype(np.float32) - np.float32(weights.format.zero)
    factors = [None] * 4 if weights.factors is None else [*np.moveaxis(weights.factors, -1, 0)]
    if weights.format.weighs_halves and weights.factors is not None and weights.m is not None:
        scales, minima = weights.factors[..., :2], weights.factors[..., 2:]
        by_weight = [np.repeat(each, BLOCK // 2, axis=-1).astype(np.float32) for each in (scales, minima)]
        return [Term(whole, codes * by_weight[0], weights.d, None), Term(whole, by_weight[1], weights.m, None)]
    if weights.format.has_halves:
        return [Term(half, codes[..., half], weights.d, factors[n]) for n, half in enumerate((first, second))]
    of_codes = Term(whole, codes, weights.d, factors[0])
    return [of_codes] if weights.m is None else [of_codes, Term(whole, None, weights.m, factors[1])]


def accumulate(
    weights: Blocks, a: NDArray[np.int16], scale: NDArray[np.uint16], *, chunk_rows: int = 1024
) -> NDArray[np.int64]:
    """Multiply a blocked matrix with blocked activation vectors.

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
    s = scale.T.astype(np.int64)
    out = np.empty((weights.rows, vectors), dtype=np.int64)
    for start in range(0, weights.rows, chunk_rows):
        part = weights.select(np.arange(start, min(start + chunk_rows, weights.rows)))
        acc = np.zeros((part.rows, vectors), np.int64)
        for term in terms(part):
            summed = activations[:, term.weights]
            if term.integers is None:
                value = np.broadcast_to(summed.sum(axis=1)[:, None, :], (k_blocks, part.rows, vectors))
            else:
                value = np.matmul(np.ascontiguousarray(term.integers.transpose(1, 0, 2)), summed)
            value = value.astype(np.int64)
            if term.factors is None:
                added = scaled.model(value, _by_block(term.scales), s[:, None, :])
            else:
                added = factored.model(value, _by_block(term.scales), _by_block(term.factors), s[:, None, :])
            acc += added.sum(axis=0)
        out[start : start + part.rows] = acc
    spare = 64 - ACC_BITS
    return (out << spare >> spare).T


def _by_block(values: NDArray[np.uint16] | NDArray[np.int8]) -> NDArray[np.int64]:
    return values.T[..., None].astype(np.int64)
