"""The answers to a request's prompts, shown as they come: one prompt piece by piece, several in a batch."""

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
    run = _run_batch if len(request.prompts) > 1 else _run_single
    return run(request, stepper, progress, digest)


def _run_single(
    request: Request, stepper: InterruptibleStepper, progress: Progress, digest: LogitDigest
) -> tuple[list[Step], list[GeneratedText]]:
    """Answer one prompt, piece by piece."""
    options, (prompt,) = request.options, request.prompts
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
            max_tokens=options.max_tokens,
            stop=request.tokenizer.stop,
            sampling=request.sampling,
            read_logits=options.read_logits,
            on_logits=digest.add,
            draft=NgramDraft() if options.speculate else None,
        ):
            steps.append(step)
            if step.prefill:
                progress.stage("reading the prompt", step.inputs[-1].position + 1, len(prompt))
            for token in step.tokens:
                tokens.append(token)
                show(stream.push(token))
                progress.stage("answering", len(tokens), options.max_tokens)
    show(stream.finish())
    return steps, [GeneratedText(prompt_ids=prompt, token_ids=tokens, text="".join(pieces))]


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
        sequences.append(GeneratedText(prompt_ids=prompt, token_ids=ids, text=text))
        progress.text(f"[{i + 1}] {text.strip()}" + "\n" * (i + 1 < len(prompts)))
    return steps, sequences
