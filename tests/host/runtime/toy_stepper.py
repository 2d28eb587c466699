"""A toy model behind the interface of an engine, for tests of generation."""

import numpy as np
from rtlm.host.runtime.device import StepResult

VOCABULARY = 16


class ToyStepper:
    """Logits are a table of the last two tokens; checks that what columns attend to has been fed.

    Parameters
    ----------
    columns
        Columns of a step at most.
    seed
        Seed of the table.
    """

    context = 400

    def __init__(self, columns, seed):
        self.columns = columns
        self._table = np.random.default_rng(seed).standard_normal((VOCABULARY, VOCABULARY, VOCABULARY), np.float32)
        self._cache = {}

    def step(self, columns, *, want_logits, read_logits):
        """Feed one token for each column."""
        assert 1 <= len(columns) <= self.columns
        for c, column in enumerate(columns):
            assert all((column.slot, position) in self._cache for position in range(column.history))
            assert column.local_first <= c
            for i in range(column.local_first, c + 1):
                assert columns[i].slot == column.slot
                assert columns[i].position == column.history + i - column.local_first
            self._cache[column.slot, column.position] = column.token
        if not want_logits:
            return StepResult(best=None, logits=None, counters={})
        before = [self._cache.get((c.slot, c.position - 1), 0) for c in columns]
        logits = np.stack([self._table[token, c.token] for token, c in zip(before, columns, strict=True)])
        best = [int(x) for x in logits.argmax(axis=1)]
        return StepResult(best=best, logits=logits if read_logits else None, counters={})
