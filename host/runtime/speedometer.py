"""How fast an answer comes, while it comes."""

import time
from dataclasses import dataclass

from rtlm.host.runtime.generation import Step


@dataclass(frozen=True, kw_only=True)
class Speed:
    """How fast the new tokens of an answer came, without the first, which the prompt gives.

    Parameters
    ----------
    tokens
        All that there are, with the first.
    cycles_per_token, tokens_per_s
        Of the chip, at the configured clock; None before a second token and where nothing counts cycles.
    simulated_tokens_per_s
        Of the simulator, the golden model or the board by the clock on the wall; None before a second token.
    """

    tokens: int = 0
    cycles_per_token: float | None = None
    tokens_per_s: float | None = None
    simulated_tokens_per_s: float | None = None


class Speedometer:
    """Follows the speed of an answer, step by step.

    Parameters
    ----------
    clock_mhz
        Clock of the chip.
    """

    def __init__(self, clock_mhz: float):
        self._clock_mhz = clock_mhz
        self.restart()

    def restart(self) -> None:
        """Begin with another answer."""
        self.speed = Speed()
        self._tokens = self._cycles = 0
        self._first_at = 0.0

    def add(self, step: Step) -> None:
        """Take a step that has just ended."""
        now = time.perf_counter()
        total = self.speed.tokens + len(step.tokens)
        if step.prefill:
            self._first_at = now
            self.speed = Speed(tokens=total)
            return
        self._tokens += len(step.tokens)
        self._cycles += step.result.counters.get("CYCLES", 0)
        per_token = self._cycles / self._tokens if self._cycles else None
        wall_s = now - self._first_at
        self.speed = Speed(
            tokens=total,
            cycles_per_token=per_token,
            tokens_per_s=self._clock_mhz * 1e6 / per_token if per_token else None,
            simulated_tokens_per_s=self._tokens / wall_s if wall_s else None,
        )
