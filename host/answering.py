"""The answers to a request's prompts, shown as they come: one prompt piece by piece, several in a batch."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from rtlm.gen.common.progress import Progress
from rtlm.host.reports.measurements import GeneratedText
from rtlm.host.request import Request
from rtlm.host.runtime.batch import generate_batch
from rtlm.host.runtime.generation import LogitDigest, Step, generate
from rtlm.host.runtime.interruption import InterruptibleStepper
from rtlm.host.runtime.speculation import NgramDraft


def answer(
    request: Request, stepper: InterruptibleStepper, progress: Progress, digest: LogitDigest
) -> tuple[list[Step], list[GeneratedText]]:
    """Return the steps that were computed, and each prompt's answer; after a signal, what there is by then.

    Parameters
    ----------
    request
        What is asked.
    stepper
        What computes; a signal ends it.
    progress
        Told what happens, and given the text.
    digest
        Gets the logits.
    """
    if len(request.prompts) > 1:
        return _run_batch(request, stepper, progress, digest)
    (prompt,) = request.prompts
    steps, text = answer_prompt(
        request, prompt, stepper, progress, max_tokens=request.options.max_tokens, on_logits=digest.add
    )
    return steps, [text]


def answer_prompt(
    request: Request,
    prompt: Sequence[int],
    stepper: InterruptibleStepper,
    progress: Progress,
    *,
    max_tokens: int,
    kept: int = 0,
    on_logits: Callable[[NDArray[np.float32]], None] = lambda logits: None,
    on_step: Callable[[Step], None] = lambda step: None,
) -> tuple[list[Step], GeneratedText]:
    """Return the steps that were computed, and the answer to one prompt, shown piece by piece.

    Parameters
    ----------
    request
        What is asked of which model; its own prompts are not looked at.
    prompt
        Token ids.
    stepper
        What computes; a signal ends it.
    progress
        Told what happens, and given the text.
    max_tokens
        Tokens to generate at most.
    kept
        Tokens of the prompt whose keys and values lie in the cache.
    on_logits
        Called with the logits of each generated token, where they are read.
    on_step
        Called when a step has ended, before its text is shown.
    """
    options = request.options
    tokens: list[int] = []
    steps: list[Step] = []
    pieces: list[str] = []
    stream = request.tokenizer.stream(special=False)

    def show(piece: str) -> None:
        pieces.append(piece)
        progress.text(piece)

    with stepper.until_signal():
        for step in generate(
            stepper,
            prompt,
            max_tokens=max_tokens,
            stop=request.tokenizer.stop,
            sampling=request.sampling,
            read_logits=options.read_logits,
            on_logits=on_logits,
            draft=NgramDraft() if options.speculate else None,
            kept=kept,
        ):
            steps.append(step)
            on_step(step)
            if step.prefill:
                progress.stage("reading the prompt", step.inputs[-1].position + 1, len(prompt))
            for token in step.tokens:
                tokens.append(token)
                show(stream.push(token))
                progress.stage("answering", len(tokens), max_tokens)
    show(stream.finish())
    return steps, GeneratedText(prompt_ids=prompt, token_ids=tokens, text="".join(pieces), prompt=_asked(request, 0))


def _run_batch(
    request: Request, stepper: InterruptibleStepper, progress: Progress, digest: LogitDigest
) -> tuple[list[Step], list[GeneratedText]]:
    """Answer several prompts in a batch, and show the answers at the end."""
    options, prompts = request.options, request.prompts
    tokens: list[list[int]] = [[] for _ in prompts]
    steps: list[Step] = []
    with stepper.until_signal():
        for step in generate_batch(
            stepper,
            prompts,
            max_tokens=options.max_tokens,
            stop=request.tokenizer.stop,
            sampling=request.sampling,
            read_logits=options.read_logits,
            on_logits=digest.add,
        ):
            steps.append(step)
            for column, token in zip(step.inputs, step.tokens, strict=False):
                tokens[column.slot].append(token)
            if step.prefill:
                progress.stage(f"reading prompt {step.inputs[0].slot + 1} of {len(prompts)}")
            else:
                progress.stage("answering", max(len(ids) for ids in tokens), options.max_tokens)
    sequences = []
    for i, (prompt, ids) in enumerate(zip(prompts, tokens, strict=True)):
        stream = request.tokenizer.stream(special=False)
        text = "".join([*(stream.push(token) for token in ids), stream.finish()])
        sequences.append(GeneratedText(prompt_ids=prompt, token_ids=ids, text=text, prompt=_asked(request, i)))
        progress.text(f"[{i + 1}] {text.strip()}" + "\n" * (i + 1 < len(prompts)))
    return steps, sequences


def _asked(request: Request, number: int) -> str:
    """Return a prompt in words; a conversation has none, but what was said in its turns."""
    texts = request.options.texts
    return texts[number] if number < len(texts) else ""
