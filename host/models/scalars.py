"""Factors that some families put between the parts of a model, and where the host puts them instead.

With a factor `r` of what is added to the residual stream, the host counts the stream in units of `r`: then attention
and feed-forward network add to it unscaled, and RMSNorm, which divides by the stream's length, sees no difference if
its epsilon counts in the new unit. The embedding carries its own factor and the unit.
"""

import math
from dataclasses import dataclass
from typing import Self

from gguf import Keys
from rtlm.host.errors import ModelError
from rtlm.host.families import Family
from rtlm.host.models.gguf_file import GGUFFile


@dataclass(frozen=True, kw_only=True)
class Scalars:
    """The factors of a model.

    Parameters
    ----------
    embedding
        Of a token's embedding.
    residual
        Of what attention and feed-forward network add to the residual stream.
    attention
        Of products of queries and keys; None for one over the root of a head's width.
    logit
        Divisor of the logits.
    """

    embedding: float = 1.0
    residual: float = 1.0
    attention: float | None = None
    logit: float = 1.0

    @classmethod
    def read(cls, file: GGUFFile, family: Family, dim: int) -> Self:
        """Return the factors of a file whose residual stream is `dim` wide.

        Raises
        ------
        ModelError
            If one is not a positive number.
        """

        def real(key: str) -> float:
            key = key.format(arch=family.architecture)
            value = float(file.get(key, (float, int), 1.0))
            if not 2.0**-40 < value < 2.0**40:
                raise ModelError(f"{key} must be above 2^-40 and below 2^40, got {value}")
            return value

        root = math.sqrt(dim) if family.root_scaled_embedding else 1.0
        if not family.scalars:
            return cls(embedding=root)
        stated = Keys.Attention.SCALE.format(arch=family.architecture) in file.metadata
        return cls(
            embedding=root * real(Keys.LLM.EMBEDDING_SCALE),
            residual=real(Keys.LLM.RESIDUAL_SCALE),
            attention=real(Keys.Attention.SCALE) if stated else None,
            logit=real(Keys.LLM.LOGIT_SCALE),
        )

    def score_factor(self, head_dim: int) -> float:
        """Return what products of queries and keys are multiplied with before they are exponents of two."""
        if self.attention is None:
            return math.log2(math.e) / math.sqrt(head_dim)
        return math.log2(math.e) * self.attention


NO_SCALARS = Scalars()
"""Those of a llama: none."""
