"""Several sequences that decode together, each in its own column and KV slot."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from rtlm.host.errors import ModelError
from rtlm.host.runtime.device import Stepper, side_by_side
from rtlm.host.runtime.generation import Step, TokenChoice, check_prompt, feed_prompt
from rtlm.host.runtime.sampling import SamplingParams


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
            f"the prompts must be 1 to {stepper.columns}, as matmul.columns = {stepper.columns} decode together, got "
            f"{len(prompts)}"
        )
    for i, prompt in enumerate(prompts):
        check_prompt(stepper, prompt, max_tokens, number=i + 1)
    read_logits |= not sampling.greedy
    choices = [TokenChoice(sampling, on_logits) for _ in prompts]
    texts = [list(prompt) for prompt in prompts]
    for slot, prompt in enumerate(prompts):
        for step in feed_prompt(
            stepper, prompt, choices[slot], slot=slot, wanted=max_tokens > 0, read_logits=read_logits
        ):
            texts[slot] += step.tokens
            yield step

    def going_on(slot: int) -> bool:
        return len(texts[slot]) < len(prompts[slot]) + max_tokens and texts[slot][-1] not in stop

    while slots := [slot for slot in range(len(prompts)) if going_on(slot)]:
        inputs = side_by_side((texts[slot][-1], len(texts[slot]) - 1, slot) for slot in slots)
        result = stepper.step(inputs, want_logits=True, read_logits=read_logits)
        tokens = tuple(choices[slot].choose(result, c) for c, slot in enumerate(slots))
        for slot, token in zip(slots, tokens, strict=True):
            texts[slot].append(token)
        yield Step(inputs=inputs, result=result, prefill=False, tokens=tokens)
