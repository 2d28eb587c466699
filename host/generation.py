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
from rtlm.host.speculation import NgramDraft


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
    tokens
        The new tokens; none while the prompt is being fed, several where drafts were right.
    drafted
        How many of the inputs were drafts.
    """

    inputs: tuple[ColumnInput, ...]
    result: StepResult
    prefill: bool
    tokens: tuple[int, ...] = ()
    drafted: int = 0

    @property
    def token(self) -> int | None:
        """The last new token, None where there is none."""
        return self.tokens[-1] if self.tokens else None


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
    draft: NgramDraft | None = None,
) -> Iterator[Step]:
    """Feed a prompt and generate tokens, one sequence in slot 0.

    The columns take successive tokens of the prompt, then the last token and what is drafted to follow it. A draft
    is kept where it is the token that would have been chosen anyway, so drafts change the number of steps and no bit
    of text or logits. The output projection is left out for prompt tokens whose logits nobody needs.

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
    draft
        Guesses tokens; None for one token a step.

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
    if draft:
        draft.extend(prompt)

    def run(
        tokens: Sequence[int], position: int, *, logits: bool, prefill: bool
    ) -> tuple[tuple[ColumnInput, ...], StepResult]:
        inputs = tuple(
            ColumnInput(token=token, position=position + c, history=position, local_first=0, slot=0)
            for c, token in enumerate(tokens)
        )
        return inputs, stepper.step(inputs, want_logits=logits, read_logits=logits and read_logits)

    def choose(result: StepResult, column: int) -> int:
        if result.logits is not None:
            on_logits(result.logits[column])
            return sampler.choose(result.logits[column])
        assert result.best is not None, "a step whose token is wanted computes logits"
        return result.best[column]

    tokens: tuple[int, ...] = ()
    for position in range(0, len(prompt), stepper.columns):
        fed = prompt[position : position + stepper.columns]
        last = position + len(fed) == len(prompt) and max_tokens > 0
        inputs, result = run(fed, position, logits=last, prefill=True)
        tokens = (choose(result, len(fed) - 1),) if last else ()
        yield Step(inputs=inputs, result=result, prefill=True, tokens=tokens)
    position, left = len(prompt), max_tokens - 1
    while left > 0 and tokens[-1] not in stop:
        guess: list[int] = []
        if draft:
            draft.extend(tokens)
            guess = draft.propose(min(stepper.columns, left) - 1)
        inputs, result = run([tokens[-1], *guess], position, logits=True, prefill=False)
        tokens = ()
        for column, following in enumerate([*guess, None]):
            tokens += (choose(result, column),)
            if tokens[-1] != following or tokens[-1] in stop:
                break
        position, left = position + len(tokens), left - len(tokens)
        yield Step(inputs=inputs, result=result, prefill=False, tokens=tokens, drafted=len(guess))
