"""Seeds of tests and benches: one fixed default, and a fresh one where it is asked for."""

import random

DEFAULT_SEED = 1
"""What ``rtlm test`` and pytest take without ``--seed``: the same run every time."""
SEEDS = 1 << 32
"""A seed is below it."""
FRESH = "random"
"""In the place of a number: a seed that nobody has chosen."""


def parse_seed(text: str) -> int:
    """Return the seed that ``--seed`` names.

    Parameters
    ----------
    text
        A number, or ``"random"``.

    Raises
    ------
    ValueError
        If it is neither.
    """
    if text == FRESH:
        return random.SystemRandom().randrange(SEEDS)
    if not text.isdecimal() or int(text) >= SEEDS:
        raise ValueError(f"the seed must be a number from 0 to {SEEDS - 1} or {FRESH!r}, got {text!r}")
    return int(text)
