"""The generation loop: prompt in, tokens out, on any `Stepper`."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rtlm.host.errors import ModelError
from rtlm.host.runtime.device import ColumnInput, Stepper, StepResult, successive
from rtlm.host.runtime.sampling import Sampler, SamplingParams
from rtlm.host.runtime.speculation import NgramDraft


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


class TokenChoice:
    """Chooses the tokens of one sequence: from the logits where they were read, else the arg-max.

    Parameters
    ----------
    sampling
        How tokens are chosen.
    on_logits
        Called with the logits of each chosen token, where they were read.
    """

    def __init__(self, sampling: SamplingParams, on_logits: Callable[[NDArray[np.float32]], None]) -> None:
        self._sampler = Sampler(sampling)
        self._on_logits = on_logits

    def choose(self, result: StepResult, column: int) -> int:
        """Choose what follows a column's token."""
        if result.logits is not None:
            self._on_logits(result.logits[column])
            return self._sampler.choose(result.logits[column])
        assert result.best is not None, "a step whose token is wanted computes logits"
        return result.best[column]


def check_prompt(stepper: Stepper, prompt: Sequence[int], max_tokens: int, *, number: int | None = None) -> None:
    """Refuse a prompt that is empty or does not fit, with `max_tokens` new tokens, the context.

    Raises
    ------
    ModelError
        The sentence names the prompt by its `number`, where there are several.
    """
    if not prompt:
        name = "the prompt" if number is None else f"prompt {number}"
        raise ModelError(f"{name} must have at least one token, got none")
    if len(prompt) + max_tokens > stepper.context:
        tokens = "prompt tokens" if number is None else f"tokens of prompt {number}"
        raise ModelError(
            f"prompt and answer must fit the context of {stepper.context} positions, got {len(prompt)} {tokens} and "
            f"{max_tokens} new ones"
        )


def feed_prompt(
    stepper: Stepper,
    prompt: Sequence[int],
    choice: TokenChoice,
    *,
    slot: int,
    wanted: bool,
    read_logits: bool,
    kept: int = 0,
) -> Iterator[Step]:
    """Feed a prompt on all columns.

    Parameters
    ----------
    stepper
        What computes.
    prompt
        Token ids, at least one.
    choice
        Chooses the first new token.
    slot
        Where the sequence has its keys and values.
    wanted
        Whether the last step gives a token; without one no logits are computed.
    read_logits
        Whether that token's logits are read back.
    kept
        Tokens of the prompt whose keys and values lie in the slot, and which are not fed.
    """
    for position in range(kept, len(prompt), stepper.columns):
        inputs = successive(prompt[position : position + stepper.columns], position, slot=slot)
        last = wanted and position + len(inputs) == len(prompt)
        result = stepper.step(inputs, want_logits=last, read_logits=last and read_logits)
        tokens = (choice.choose(result, len(inputs) - 1),) if last else ()
        yield Step(inputs=inputs, result=result, prefill=True, tokens=tokens)


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
    kept: int = 0,
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
    kept
        Tokens of the prompt whose keys and values lie in the cache; at least one token is left to be fed.

    Raises
    ------
    ModelError
        If the prompt is empty or text and prompt do not fit the context.
    ValueError
        If no token is left to be fed.
    """
    check_prompt(stepper, prompt, max_tokens)
    if not 0 <= kept < len(prompt):
        raise ValueError(f"kept must be from 0 to {len(prompt) - 1}, as one token must be fed, got {kept}")
    read_logits |= not sampling.greedy
    choice = TokenChoice(sampling, on_logits)
    if draft:
        draft.extend(prompt)
    tokens: tuple[int, ...] = ()
    for step in feed_prompt(stepper, prompt, choice, slot=0, wanted=max_tokens > 0, read_logits=read_logits, kept=kept):
        tokens = step.tokens
        yield step
    position, left = len(prompt), max_tokens - 1
    while left > 0 and tokens[-1] not in stop:
        guess: list[int] = []
        if draft:
            draft.extend(tokens)
            guess = draft.propose(min(stepper.columns, left) - 1)
        inputs = successive([tokens[-1], *guess], position, slot=0)
        result = stepper.step(inputs, want_logits=True, read_logits=read_logits)
        tokens = ()
        for column, following in enumerate([*guess, None]):
            tokens += (choice.choose(result, column),)
            if tokens[-1] != following or tokens[-1] in stop:
                break
        position, left = position + len(tokens), left - len(tokens)
        yield Step(inputs=inputs, result=result, prefill=False, tokens=tokens, drafted=len(guess))
