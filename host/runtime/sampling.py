"""Choosing the next token from logits that were read back."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rtlm.host.errors import ModelError
from rtlm.host.session_options import MAX_TEMPERATURE


@dataclass(frozen=True, kw_only=True)
class SamplingParams:
    """How the next token is chosen.

    Parameters
    ----------
    temperature
        0 takes the accelerator's own arg-max.
    top_k
        Keep only the k largest logits; 0 keeps all.
    top_p
        Keep the smallest set of tokens whose probability reaches p; 1 keeps all.
    seed
        Seed of the random numbers; the same seed gives the same text.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Validate."""
        if not 0 <= self.temperature <= MAX_TEMPERATURE:
            raise ValueError(f"temperature must be between 0 and {MAX_TEMPERATURE}, got {self.temperature}")
        if self.top_k < 0:
            raise ValueError(f"top_k must be 0 (all) or more, got {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be above 0 and at most 1, got {self.top_p}")
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, got {self.seed}")

    @property
    def greedy(self) -> bool:
        """Whether the accelerator's arg-max is taken, so that no logits need to be read."""
        return self.temperature == 0


class Sampler:
    """Draws tokens.

    Parameters
    ----------
    params
        How.
    """

    def __init__(self, params: SamplingParams):
        self.params = params
        self._random = np.random.default_rng(params.seed)

    def choose(self, logits: NDArray[np.float32]) -> int:
        """Draw a token from one step's logits, shape (vocabulary,).

        The distribution is the softmax of the logits divided by the temperature, cut to the `top_k` largest logits (the
        lowest token ids among equals), then to the nucleus (arXiv:1904.09751) of those, and renormalised.

        Raises
        ------
        ModelError
            If the largest logit is infinite or not a number, so that there is no distribution.
        """
        if self.params.greedy:
            return int(np.argmax(logits))
        order = np.argsort(-logits, kind="stable")
        if self.params.top_k:
            order = order[: self.params.top_k]
        kept = logits[order].astype(np.float64)
        # NaN is sorted behind all numbers.
        if not np.isfinite(kept[0]) or np.isnan(kept[-1]):
            raise ModelError(f"the largest logit must be finite for sampling, got logits from {kept[-1]} to {kept[0]}")
        with np.errstate(over="ignore"):  # Small temperatures make distances infinite, hence probabilities zero.
            probabilities = np.exp((kept - kept[0]) / self.params.temperature)
        probabilities /= probabilities.sum()
        if self.params.top_p < 1:
            count = int(np.searchsorted(np.cumsum(probabilities), self.params.top_p)) + 1
            order, probabilities = order[:count], probabilities[:count] / probabilities[:count].sum()
        return int(self._random.choice(order, p=probabilities))
