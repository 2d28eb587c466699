"""The golden model behind the same interface as the accelerator's engine."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rtlm.host.golden.model import ColumnView, GoldenModel
from rtlm.host.runtime.device import ColumnInput, StepResult, check_inputs
from rtlm.hw import kernels


class GoldenEngine:
    """Computes steps with the golden model: the same bits, no cycles.

    Parameters
    ----------
    golden
        The model.
    context
        Positions of a sequence.
    columns
        Tokens of a step at most, and KV slots, as the accelerator has them.
    """

    def __init__(self, golden: GoldenModel, *, context: int, columns: int = 1):
        self.context = context
        self.columns = columns
        self._golden = golden
        self._slots = [golden.cache(context) for _ in range(columns)]

    def step(
        self, columns: Sequence[ColumnInput], *, want_logits: bool = True, read_logits: bool = False
    ) -> StepResult:
        """Feed one token for each column; parameters and errors as in `rtlm.host.runtime.engine.Engine.step`."""
        check_inputs(columns, limit=self.columns, vocabulary=self._golden.model.vocab, context=self.context)
        views = [
            ColumnView(
                cache=self._slots[column.slot],
                position=column.position,
                history=column.history,
                local_first=column.local_first,
            )
            for column in columns
        ]
        logits = self._golden.evaluate_columns([column.token for column in columns], views, logits=want_logits)
        if logits is None:
            return StepResult(best=None, logits=None, counters={})
        return StepResult(best=_best(logits), logits=logits if read_logits else None, counters={})


def _best(logits: NDArray[np.float32]) -> list[int]:
    """Return the arg-max of each row as the accelerator defines it."""
    tokens = np.broadcast_to(np.arange(logits.shape[1]), logits.shape)
    return [int(index) for index in kernels.argmax.model(logits, tokens).index]
