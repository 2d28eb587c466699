"""The generation loop: prompt in, tokens out, whatever computes them."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from rtlm.host.engine import ColumnInput, StepResult
from rtlm.host.errors import ModelError
from rtlm.host.sampling import Sampler, SamplingParams


class Stepper(Protocol):
    """Computes decoding steps: the accelerator's engine, or the golden model."""

    columns: int
    context: int

    def step(self, columns: Sequence[ColumnInput], *, want_logits: bool, read_logits: bool) -> StepResult:
        """Feed one token for each column."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One pass through the weights, as it happened.

    Parameters
    ----------
    inputs
        What each column was fed.
    result
        What came back.
    prefill
        Whether it fed tokens of the prompt.
    token
        The new token, None while the prompt is being fed.
    """

    inputs: tuple[ColumnInput, ...]
    result: StepResult
    prefill: bool
    token: int | None


class LogitDigest:
    """SHA-256 over logits in order, as little-endian float32."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.count = 0

    def add(self, logits: NDArray[np.float32]) -> None:
        """Append one step's logits."""
        self._hash.update(np.ascontiguousarray(logits, dtype="<f4").tobytes())
        self.count += 1

    @property
    def hex(self) -> str | None:
        """The digest, None where no logits were added."""
        return self._hash.hexdigest() if self.count else None


def generate(
    stepper: Stepper,
    prompt: Sequence[int],
    *,
    max_tokens: int,
    stop: frozenset[int],
    sampling: SamplingParams,
    read_logits: bool = False,
    on_logits: Callable[[NDArray[np.float32]], None] = lambda logits: None,
) -> Iterator[Step]:
    """Feed a prompt and generate tokens, one sequence in slot 0.

    The columns take successive tokens of the prompt; generation uses one column. The output projection is left out for
    prompt tokens whose logits nobody needs.

    Parameters
    ----------
    stepper
        What computes.
    prompt
        Token ids, at least one.
    max_tokens
        Tokens to generate at most.
    stop
        Tokens that end the text (they are yielded).
    sampling
        How tokens are chosen; other than greedy needs the logits.
    read_logits
        Whether logits are read back even if nothing needs them.
    on_logits
        Called with the logits of each generated token, where they are read.

    Raises
    ------
    ModelError
        If the prompt is empty or text and prompt do not fit the context.
    """
    if not prompt:
        raise ModelError("the prompt is empty; at least one token is needed")
    if len(prompt) + max_tokens > stepper.context:
        raise ModelError(
            f"{len(prompt)} prompt tokens and {max_tokens} new ones exceed the context of {stepper.context} positions"
        )
    read_logits |= not sampling.greedy
    sampler = Sampler(sampling)

    def run(tokens: Sequence[int], position: int, *, logits: bool, prefill: bool) -> Step:
        inputs = tuple(
            ColumnInput(token=token, position=position + c, history=position, local_first=0, slot=0)
            for c, token in enumerate(tokens)
        )
        result = stepper.step(inputs, want_logits=logits, read_logits=logits and read_logits)
        token = None
        if result.logits is not None:
            on_logits(result.logits[-1])
            token = sampler.choose(result.logits[-1])
        elif result.best is not None:
            token = result.best[-1]
        return Step(inputs=inputs, result=result, prefill=prefill, token=token)

    position = 0
    while position < len(prompt):
        chunk = prompt[position : position + stepper.columns]
        step = run(chunk, position, logits=position + len(chunk) == len(prompt) and max_tokens > 0, prefill=True)
        position += len(chunk)
        yield step
    for _ in range(max_tokens - 1):
        if step.token is None or step.token in stop:
            return
        step = run([step.token], position, logits=True, prefill=False)
        position += 1
        yield step
