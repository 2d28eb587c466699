"""RoPE as a table: how far each pair of a head's components is turned at each position.

Su et al., RoFormer (arXiv:2104.09864). What scales the frequencies only changes the table: linear position
interpolation (Chen et al., arXiv:2306.15595), YaRN (Peng et al., arXiv:2309.00071), and the divisors that files of
Llama 3.1 and later bring as the tensor `rope_freqs`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from gguf import Keys
from numpy.typing import NDArray
from rtlm.host.errors import ModelError
from rtlm.host.models.gguf_file import GGUFFile

FACTORS = "rope_freqs.weight"
"""The tensor of divisors, one for each frequency."""

SCALINGS = ("none", "linear", "yarn")
HUGGING_FACE_SCALINGS = ("default", "linear", "llama3", "yarn")
"""Those of config.json that become such a table; ``llama3`` comes as divisors."""

BETA_FAST, BETA_SLOW = 32.0, 1.0
"""Turns within the original context, above which YaRN leaves a frequency, and below which it divides by the factor."""


@dataclass(frozen=True, kw_only=True)
class Rotary:
    """How fast each pair turns.

    Parameters
    ----------
    frequency
        Radians for each position, shape (head_dim / 2,).
    magnitude
        What sines and cosines are multiplied with.
    """

    frequency: NDArray[np.float64]
    magnitude: float = 1.0

    @classmethod
    def read(cls, file: GGUFFile, architecture: str, head_dim: int, base: float, context: int) -> Self:
        """Return what a file says.

        Parameters
        ----------
        file
            The opened file.
        architecture
            The prefix of its keys.
        head_dim
            Width of a head.
        base
            Base of the frequencies without scaling.
        context
            Positions that the model was trained for.

        Raises
        ------
        ModelError
            If the scaling is unknown, or a number impossible.
        """

        def real(key: str, default: float, low: float = 0.0) -> float:
            key = key.format(arch=architecture)
            value = float(file.get(key, (float, int), default))
            if not low < value < 1e12:
                raise ModelError(f"{key} must be above {low:g} and below 1e12, got {value}")
            return value

        frequency = cls.unscaled(head_dim, base).frequency
        if FACTORS in file.tensors:
            frequency = frequency / _factors(file, head_dim)
        factor = real(Keys.Rope.SCALING_FACTOR, 1.0)
        scaling = file.get(Keys.Rope.SCALING_TYPE.format(arch=architecture), str, "linear")
        if scaling not in SCALINGS:
            raise ModelError(f"the rotary scaling must be one of {', '.join(SCALINGS)}, got {scaling!r:.60}")
        magnitude = real(Keys.Rope.SCALING_ATTN_FACTOR, 1.0)
        if scaling == "linear":
            frequency = frequency / factor
        elif scaling == "yarn":
            multiplier = Keys.Rope.SCALING_YARN_LOG_MUL.format(arch=architecture)
            if file.get(multiplier, (float, int), 0):
                raise ModelError(f"{multiplier} must be 0, got {file.metadata[multiplier]}")
            if base <= 1:
                raise ModelError(f"the base of RoPE must be above 1 for the scaling yarn, got {base:g}")
            original = real(Keys.Rope.SCALING_ORIG_CTX_LEN, float(context))
            fast = real(Keys.Rope.SCALING_YARN_BETA_FAST, BETA_FAST)
            slow = real(Keys.Rope.SCALING_YARN_BETA_SLOW, BETA_SLOW)
            kept = _kept(head_dim, base, original, fast, slow) * real(Keys.Rope.SCALING_YARN_EXT_FACTOR, 1.0)
            frequency = frequency / factor * (1 - kept) + frequency * kept
            magnitude *= 1 + 0.1 * math.log(max(factor, 1.0))
        return cls(frequency=frequency, magnitude=magnitude)

    @classmethod
    def unscaled(cls, head_dim: int, base: float) -> Self:
        """Return frequencies of a base, without any scaling."""
        return cls(frequency=base ** (-np.arange(0, head_dim, 2) / head_dim))

    def table(self, positions: Sequence[int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the float32 cosines and sines of some positions, shaped (positions, head_dim / 2).

        They are computed in double precision and rounded once.
        """
        angle = np.asarray(positions)[:, None] * self.frequency
        cos, sin = np.cos(angle) * self.magnitude, np.sin(angle) * self.magnitude
        return cos.astype(np.float32), sin.astype(np.float32)


def unrotated(head_dim: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return cosines and sines that turn nothing, shaped (1, head_dim / 2)."""
    return np.ones((1, head_dim // 2), np.float32), np.zeros((1, head_dim // 2), np.float32)


def _factors(file: GGUFFile, head_dim: int) -> NDArray[np.float64]:
    tensor = file.tensors[FACTORS]
    if tensor.type.name != "F32" or tensor.shape != (head_dim // 2,):
        raise ModelError(
            f"the tensor {FACTORS} must be F32 and have the shape ({head_dim // 2},), got {tensor.type.name} and "
            f"{tensor.shape}"
        )
    factors = tensor.data.view("<f4").astype(np.float64)
    if not (factors > 0).all() or np.isinf(factors).any():
        raise ModelError(f"the tensor {FACTORS} must hold positive numbers, got {factors.min():g} to {factors.max():g}")
    return factors


def _kept(head_dim: int, base: float, original: float, fast: float, slow: float) -> NDArray[np.float64]:
    """Return how much of each frequency YaRN keeps, from 0 to 1."""

    def pair(turns: float) -> float:
        """Return the number of the pair that turns so often in the original context."""
        return head_dim * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(base))

    low, high = max(0, math.floor(pair(fast))), min(head_dim - 1, math.ceil(pair(slow)))
    return 1 - np.clip((np.arange(head_dim // 2) - low) / max(0.001, high - low), 0, 1)
