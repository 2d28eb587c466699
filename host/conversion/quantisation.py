"""Weights as the bytes that a GGUF file has for them, in each format that the gates read and something quantises to."""

import gguf
import numpy as np
from gguf import GGMLQuantizationType
from numpy.typing import NDArray
from rtlm.host.conversion.k_quants import SEARCHES, quantise_k
from rtlm.host.errors import ModelError
from rtlm.host.models.model import check_q8_0_range
from rtlm.hw.formats import BLOCK, BlockFormat, Blocks

FALLBACKS = {
    BlockFormat.Q2_K: BlockFormat.Q4_0,
    BlockFormat.Q3_K: BlockFormat.Q4_0,
    BlockFormat.Q4_K: BlockFormat.Q5_0,
    BlockFormat.Q5_K: BlockFormat.Q5_1,
    BlockFormat.Q6_K: BlockFormat.Q8_0,
    BlockFormat.TQ1_0: BlockFormat.Q4_0,
    BlockFormat.TQ2_0: BlockFormat.Q4_0,
}
"""What matrices get whose rows do not divide into blocks of 256, as by llama.cpp's ``tensor_type_fallback``."""

HALF_LARGEST = float(np.finfo(np.float16).max)


def format_of_rows(format: BlockFormat, columns: int) -> BlockFormat:
    """Return the format of a matrix for which `format` was asked, and whose rows have `columns` weights.

    Raises
    ------
    ModelError
        If its rows do not divide into blocks of 32.
    """
    if columns % BLOCK:
        raise ModelError(f"rows of matrices must be a multiple of {BLOCK} weights, got {columns}")
    return FALLBACKS[format] if columns % format.block_weights else format


def quantise(name: str, weights: NDArray[np.float32], format: BlockFormat) -> NDArray[np.uint8]:
    """Return the matrix ``name`` as the bytes of a GGUF file, shape (rows, bytes of a row).

    Raises
    ------
    ModelError
        If a weight is no number, or a scale beyond what the format holds.
    """
    if format is BlockFormat.Q8_0:
        check_q8_0_range(name, weights)
        return _by_package(weights, format)
    if not (finite := np.isfinite(weights)).all():
        raise ModelError(f"the weights of the tensor {name} must be finite, got {weights[~finite][0]:g}")
    stored = quantise_k(format, weights) if format in SEARCHES else _by_package(weights, format)
    try:
        blocks = Blocks.from_gguf(format, stored.reshape(-1), *weights.shape)
    except ValueError as error:
        raise ModelError(f"the tensor {name}: {error}") from None
    scales = [blocks.d] if blocks.m is None else [blocks.d, blocks.m]
    if not all(np.isfinite(halves.view(np.float16)).all() for halves in scales):
        raise ModelError(
            f"the scales of the tensor {name} in {format.name} must be at most {HALF_LARGEST:g}, got more for weights "
            f"of up to {np.abs(weights).max():g}"
        )
    return stored


def _by_package(weights: NDArray[np.float32], format: BlockFormat) -> NDArray[np.uint8]:
    # Inverses of tiny scales overflow, as do scales of large weights.
    with np.errstate(all="ignore"):
        return gguf.quants.quantize(weights, GGMLQuantizationType[format.name])
