"""The golden model behind the same interface as the accelerator's engine."""

from collections.abc import Sequence

import numpy as np
from rtlm.host.engine import ColumnInput, StepResult
from rtlm.host.golden import GoldenModel


class GoldenEngine:
    """Computes steps with the golden model: the same bits, no cycles.

    Parameters
    ----------
    golden
        The model.
    context
        Positions of the sequence.
    """

    columns = 1

    def __init__(self, golden: GoldenModel, *, context: int):
        self.context = context
        self._golden = golden
        self._cache = golden.cache(context)

    def step(
        self, columns: Sequence[ColumnInput], *, want_logits: bool = True, read_logits: bool = False
    ) -> StepResult:
        """Feed one token; it must follow the one before."""
        (column,) = columns
        self._cache.length = column.position
        logits = self._golden.evaluate([column.token], self._cache, last_only=True)
        if not want_logits:
            return StepResult(best=None, logits=None, counters={})
        return StepResult(best=[int(np.argmax(logits[0]))], logits=logits if read_logits else None, counters={})
