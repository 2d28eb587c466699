"""Quantisers of Q2_K to Q6_K: scales that fit a super-block best, searched for as ggml does, without calibration.

They follow ``quantize_row_q2_K_ref`` to ``quantize_row_q6_K_ref`` of ggml (``ggml-quants.c``). Each group of 16 or 32
weights gets a float32 scale (and minimum) of its own; those of a super-block are rounded to integers that share an fp16
scale (and minimum); codes are then rounded against what these stand for.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from rtlm.hw.formats import BLOCK, BlockFormat

F32 = NDArray[np.float32]

CHUNK = 256
"""Super-blocks that are quantised at once, so that a processor's cache holds them."""

SWEEPS = 5
"""Times that `fit_codes` tries each code."""


def quantise_k(format: BlockFormat, weights: F32) -> NDArray[np.uint8]:
    """Return a matrix as the bytes of a GGUF file.

    Parameters
    ----------
    format
        A format of `SEARCHES`.
    weights
        Finite, shape (rows, columns), where columns are a multiple of 256.

    Returns
    -------
    ndarray of uint8
        Shape (rows, bytes of a row). Scales beyond fp16 are infinite.

    Raises
    ------
    ValueError
        If the format is another one.
    """
    blocks = weights.reshape(-1, format.block_weights)
    # Divisions by zero belong to candidates that are not chosen, or to weights that become 0.
    with np.errstate(all="ignore"):
        parts = [_super_blocks(format, blocks[first : first + CHUNK]) for first in range(0, len(blocks), CHUNK)]
    return np.concatenate(parts).reshape(len(weights), -1)


def _super_blocks(format: BlockFormat, weights: F32) -> NDArray[np.uint8]:
    pack = format.description.pack
    if pack is None:
        raise ValueError(f"format must be one of {', '.join(each.name for each in SEARCHES)}, got {format.name}")
    in_block = 2 if format.has_halves or format.weighs_halves else 1
    # A power of two is taken out of each super-block, so that no product of weights overflows or vanishes.
    _, exponents = np.frexp(np.abs(weights).max(axis=1))
    groups = np.ldexp(weights, -exponents[:, None]).reshape(-1, BLOCK // in_block)
    found = [each.reshape(len(weights), -1) for each in SEARCHES[format](np.ascontiguousarray(groups.T))]
    limits = format.factors.ranges[::in_block]
    rounded = [_factored(each, exponents, limit) for each, limit in zip(found, limits, strict=True)]
    x = weights.reshape(len(weights), -1, BLOCK // in_block)
    scale, *minimum = (half.astype(np.float32)[:, None, None] * factors[..., None] for half, factors in rounded)
    codes = np.where(scale != 0, np.rint((x - minimum[0] if minimum else x) / scale), 0)
    u = np.clip(codes + format.zero, 0, (1 << format.bits) - 1).astype(np.uint8).reshape(len(x), -1)
    factors = np.concatenate([each.reshape(len(x), -1, in_block) for _, each in rounded], axis=-1)
    return pack(u, factors, np.stack([half.view(np.uint16) for half, _ in rounded], axis=-1))


def _factored(
    values: F32, exponents: NDArray[np.int32], limits: tuple[int, int]
) -> tuple[NDArray[np.float16], NDArray[np.int8]]:
    """Round the values of super-blocks, shape (super-blocks, groups), to integers times an fp16 for each super-block.

    The value of the largest magnitude becomes the limit of the largest magnitude, whatever its sign. Values are
    multiplied with powers of two.
    """
    limit = max(limits, key=abs)
    outer = np.take_along_axis(values, np.abs(values).argmax(axis=1, keepdims=True), axis=1)
    factors = np.where(outer != 0, np.clip(np.rint(values * (limit / outer)), *limits), 0)
    # Zero is added so that it has no sign.
    common = np.ldexp(outer[:, 0] / np.float32(limit) + 0, exponents)
    return common.astype(np.float16), factors.astype(np.int8)


def fit_lines(x: F32, *, weigh: Callable[[F32], F32], largest: int, stretches: F32, absolute: bool) -> list[F32]:
    """Return scales and minima of groups with codes from 0 on (ggml's ``make_qkx2_quants``).

    For each of several roundings, weighted least squares give a scale and a minimum; the best are kept.

    Parameters
    ----------
    x
        Weights, shape (weights of a group, groups).
    weigh
        Returns how much each weight counts, for errors.
    largest
        The largest code.
    stretches
        What is added to the largest code where the range of weights is divided into steps, one rounding each.
    absolute
        Whether magnitudes of errors count, instead of squares.

    Returns
    -------
    list of ndarray of float32
        Scales and minima, shape (groups,). No minimum is above 0.
    """
    weight = weigh(x)
    low, high = np.minimum(x.min(axis=0), 0), x.max(axis=0)
    sum_w, sum_x = weight.sum(axis=0), (weight * x).sum(axis=0)

    def rounded(stretch: np.float32) -> F32:
        # A group without range gives NaN, which becomes 0.
        return np.fmin(np.fmax(np.rint((stretch + largest) / (high - low) * (x - low)), 0), largest)

    def error(scale: F32, minimum: F32, codes: F32) -> F32:
        difference = scale * codes + minimum - x
        return (weight * (np.abs(difference) if absolute else difference * difference)).sum(axis=0)

    scale = (high - low) / largest
    least = error(scale, low, rounded(np.float32(0)))
    for stretch in stretches:
        codes = rounded(stretch)
        weighted = weight * codes
        sum_l, sum_l2, sum_xl = (each.sum(axis=0) for each in (weighted, weighted * codes, weighted * x))
        determinant = sum_w * sum_l2 - sum_l * sum_l
        minimum = (sum_l2 * sum_x - sum_l * sum_xl) / determinant
        slope = np.where(minimum > 0, sum_xl / sum_l2, (sum_w * sum_xl - sum_x * sum_l) / determinant)
        minimum = np.minimum(minimum, 0)
        found = error(slope, minimum, codes)
        better = (determinant > 0) & (found < least)
        # The next rounding begins at the best minimum so far.
        least, scale, low = (
            np.where(better, new, old) for new, old in ((found, least), (slope, scale), (minimum, low))
        )
    return [scale, low]


def fit_scales(x: F32, *, zero: int) -> list[F32]:
    """Return scales of groups with codes from ``-zero`` to ``zero - 1`` (ggml's ``make_qx_quants``).

    Several roundings are tried; squares of weights weigh squares of errors. Parameters as in `fit_lines`.
    """
    outer, square = _outer(x), x * x
    scale = best = np.zeros_like(outer)
    for stretch in (0, *range(-9, 0), *range(1, 10)):
        codes = np.clip(np.rint(-(zero + np.float32(0.1) * np.float32(stretch)) / outer * x), -zero, zero - 1)
        sum_xl, sum_l2 = (square * x * codes).sum(axis=0), (square * codes * codes).sum(axis=0)
        better = (sum_l2 > 0) & (sum_xl * sum_xl > best * sum_l2)
        scale = np.where(better, sum_xl / sum_l2, scale)
        best = np.where(better, scale * sum_xl, best)
    return [scale]


def fit_codes(x: F32, *, zero: int) -> list[F32]:
    """Return scales of groups with codes from ``-zero`` to ``zero - 1`` (ggml's ``make_q3_quants``).

    Codes are changed one at a time while that makes the error less, weighed as in `fit_scales`.
    """
    square = x * x
    codes = np.clip(np.rint(-zero / _outer(x) * x), -zero, zero - 1)
    sum_xl, sum_l2 = (square * x * codes).sum(axis=0), (square * codes * codes).sum(axis=0)
    for _ in range(SWEEPS):
        for value, weight, code in zip(x, square, codes, strict=True):
            rest_xl, rest_l2 = sum_xl - weight * value * code, sum_l2 - weight * code * code
            new = np.clip(np.rint(value * rest_l2 / rest_xl), -zero, zero - 1)
            new_xl, new_l2 = rest_xl + weight * value * new, rest_l2 + weight * new * new
            better = (rest_xl > 0) & (new != code) & (new_l2 > 0)
            better &= new_xl * new_xl * sum_l2 > sum_xl * sum_xl * new_l2
            code[better] = new[better]
            sum_xl, sum_l2 = np.where(better, new_xl, sum_xl), np.where(better, new_l2, sum_l2)
    return [np.where(sum_l2 > 0, sum_xl / sum_l2, 0)]


def _outer(x: F32) -> F32:
    """Return the weight of the largest magnitude in each group."""
    return np.take_along_axis(x, np.abs(x).argmax(axis=0, keepdims=True), axis=0)[0]


def _spread(x: F32) -> F32:
    """Return magnitudes and, on top, the root of the mean square."""
    return np.sqrt((x * x).sum(axis=0) / len(x)) + np.abs(x)


def _steps(first: float, count: int) -> F32:
    return np.float32(first) + np.float32(0.1) * np.arange(count + 1, dtype=np.float32)


SEARCHES: dict[BlockFormat, Callable[[F32], list[F32]]] = {
    BlockFormat.Q2_K: partial(fit_lines, weigh=np.abs, largest=3, stretches=_steps(-0.5, 15), absolute=True),
    BlockFormat.Q3_K: partial(fit_codes, zero=4),
    BlockFormat.Q4_K: partial(fit_lines, weigh=_spread, largest=15, stretches=_steps(-1, 20), absolute=False),
    BlockFormat.Q5_K: partial(fit_lines, weigh=_spread, largest=31, stretches=_steps(-0.5, 15), absolute=False),
    BlockFormat.Q6_K: partial(fit_scales, zero=32),
}
"""How the groups of a format get their scales and minima."""
