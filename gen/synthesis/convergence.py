"""Whether a router converges: nextpnr's router2 does not end where it cannot resolve congestion."""

import re

PATIENCE = 40
"""Iterations without a better one. Where it converges at all, the count falls in nearly every iteration; a design that
fills 72 % of an LFE5U-85F had its best count at iteration 29, and seven times as many wires in conflict at 83."""

_ITERATION = re.compile(r"iter=(\d+) wires=\d+ overused=(\d+)")


def stuck(log: str, patience: int = PATIENCE) -> str:
    """Return why router2 does not converge, or an empty text.

    Parameters
    ----------
    log
        What nextpnr has written so far.
    patience
        Iterations without a better one after which it is stuck.
    """
    counts = [(int(overused), int(iteration)) for iteration, overused in _ITERATION.findall(log)]
    if not counts:
        return ""
    (best, at), (_, now) = min(counts), counts[-1]
    if best == 0 or now - at < patience:
        return ""
    return (
        f"routing does not converge: {best} wires were in conflict after iteration {at}, and never fewer up to "
        f"iteration {now}; try another seed, router1, or a smaller design"
    )
