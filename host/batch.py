"""Several sequences that decode together, each in its own column and KV slot."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from rtlm.host.engine import ColumnInput, StepResult
from rtlm.host.errors import ModelError
from rtlm.host.generation import Step, Stepper
from rtlm.host.sampling import Sampler, SamplingParams


def generate_batch(
    stepper: Stepper,
    prompts: Sequence[Sequence[int]],
    *,
    max_tokens: int,
    stop: frozenset[int],
    sampling: SamplingParams,
    read_logits: bool = False,
    on_logits: Callable[[NDArray[np.float32]], None] = lambda logits: None,
) -> Iterator[Step]:
    """Feed several prompts and let all sequences go on together until each has ended.

    Prompts are fed one after the other, each on all columns; then each weight pass gives one token of every sequence
    that has not ended. Text and logits of a sequence are, bit for bit, those of `generate` alone with the same
    sampling.

    Parameters
    ----------
    stepper
        What computes; sequence i has KV slot i.
    prompts
        Token ids, at least one each; at most as many prompts as columns.
    max_tokens
        Tokens to generate for each sequence at most.
    stop
        Tokens that end a sequence (they are yielded).
    sampling
        How tokens are chosen; each sequence draws from its own random numbers, all with the same seed.
    read_logits
        Whether logits are read back even if nothing needs them.
    on_logits
        Called with the logits of each generated token, where they are read.

    Yields
    ------
    Step
        Its token i belongs to the sequence in ``inputs[i].slot``.

    Raises
    ------
    ModelError
        If a prompt is empty, does not fit the context, or there are more prompts than columns.
    """
    if not 1 <= len(prompts) <= stepper.columns:
        raise ModelError(
            f"{len(prompts)} prompts are given; the accelerator decodes 1 to {stepper.columns} together "
            f"(matmul.columns = {stepper.columns})"
        )
    for i, prompt in enumerate(prompts):
        if not prompt:
            raise ModelError(f"prompt {i + 1} is empty; at least one token is needed")
        if len(prompt) + max_tokens > stepper.context:
            raise ModelError(
                f"{len(prompt)} tokens of prompt {i + 1} and {max_tokens} new ones exceed the context of "
                f"{stepper.context} positions"
            )
    read_logits |= not sampling.greedy
    samplers = [Sampler(sampling) for _ in prompts]
    texts = [list(prompt) for prompt in prompts]

    def choose(result: StepResult, column: int, slot: int) -> int:
        if result.logits is not None:
            on_logits(result.logits[column])
            token = samplers[slot].choose(result.logits[column])
        else:
            assert result.best is not None, "a step whose token is wanted computes logits"
            token = result.best[column]
        texts[slot].append(token)
        return token

    for slot, prompt in enumerate(prompts):
        for start in range(0, len(prompt), stepper.columns):
            fed = prompt[start : start + stepper.columns]
            inputs = tuple(
                ColumnInput(token=token, position=start + c, history=start, local_first=0, slot=slot)
                for c, token in enumerate(fed)
            )
            last = start + len(fed) == len(prompt) and max_tokens > 0
            result = stepper.step(inputs, want_logits=last, read_logits=last and read_logits)
            tokens: tuple[int, ...] = (choose(result, len(fed) - 1, slot),) if last else ()
            yield Step(inputs=inputs, result=result, prefill=True, tokens=tokens)

    def going_on(slot: int) -> bool:
        return len(texts[slot]) < len(prompts[slot]) + max_tokens and texts[slot][-1] not in stop

    while slots := [slot for slot in range(len(prompts)) if going_on(slot)]:
        inputs = tuple(
            ColumnInput(
                token=texts[slot][-1],
                position=len(texts[slot]) - 1,
                history=len(texts[slot]) - 1,
                local_first=c,
                slot=slot,
            )
            for c, slot in enumerate(slots)
        )
        result = stepper.step(inputs, want_logits=True, read_logits=read_logits)
        tokens = tuple(choose(result, c, slot) for c, slot in enumerate(slots))
        yield Step(inputs=inputs, result=result, prefill=False, tokens=tokens)
