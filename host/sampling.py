"""Choosing the next token from logits that were read back."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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
        if not 0 <= self.temperature <= 100:
            raise ValueError(f"temperature {self.temperature} is not possible: 0 to 100 is")
        if self.top_k < 0:
            raise ValueError(f"top-k {self.top_k} is not possible: 0 (all) or more is")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top-p {self.top_p} is not possible: more than 0, at most 1 is")

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
        """Draw a token from one step's logits, shape (vocabulary,)."""
        if self.params.greedy:
            return int(np.argmax(logits))
        order = np.argsort(-logits, kind="stable")
        if self.params.top_k:
            order = order[: self.params.top_k]
        scaled = logits[order].astype(np.float64) / self.params.temperature
        probabilities = np.exp(scaled - scaled[0])
        probabilities /= probabilities.sum()
        if self.params.top_p < 1:
            kept = int(np.searchsorted(np.cumsum(probabilities), self.params.top_p)) + 1
            order, probabilities = order[:kept], probabilities[:kept] / probabilities[:kept].sum()
        return int(self._random.choice(order, p=probabilities))
