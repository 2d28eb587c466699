"""Answers one job after the other on one accelerator."""

import time
from collections.abc import Callable, Sequence

from rtlm.host.backend import Backend
from rtlm.host.request import Request
from rtlm.host.runtime.cached_tokens import CachedTokens
from rtlm.host.runtime.device import ColumnInput, Stepper, StepResult
from rtlm.host.runtime.generation import generate
from rtlm.host.runtime.speculation import NgramDraft
from rtlm.host.runtime.speedometer import Speedometer
from rtlm.host.serving.job import Ended, Fed, Job, Piece
from rtlm.host.serving.stop_texts import StopTexts


class Cancelled(Exception):
    """Nobody wants the answer any more."""


class CheckedStepper:
    """Computes steps, and asks before each whether it is still wanted.

    Parameters
    ----------
    stepper
        What computes.
    check
        Raises `Cancelled` where it is not.
    """

    def __init__(self, stepper: Stepper, check: Callable[[], None]):
        self.columns, self.context = stepper.columns, stepper.context
        self._stepper, self._check = stepper, check

    def step(self, columns: Sequence[ColumnInput], *, want_logits: bool, read_logits: bool) -> StepResult:
        """Feed one token for each column; see `Engine.step`."""
        self._check()
        return self._stepper.step(columns, want_logits=want_logits, read_logits=read_logits)


class Answerer:
    """Answers jobs; tokens that a prompt shares with the job before stay in the KV cache and are not fed again.

    Every answer is bit for bit what `rtlm run` generates from the same tokens with the same sampling and seed.

    Parameters
    ----------
    request
        The model, the accelerator, and the options.
    backend
        What computes; belongs to the thread that calls `answer`.
    """

    def __init__(self, request: Request, backend: Backend):
        self._request = request
        self._backend = backend
        self._cached = CachedTokens()
        self._job: Job | None = None
        self._stepper = CheckedStepper(backend.stepper, self._check)
        if backend.simulation:
            backend.simulation.device.on_slice = self._check

    def answer(self, job: Job) -> Ended:
        """Answer a job, piece by piece, and return how the answer has ended; the job is yet to be told that.

        Raises
        ------
        Cancelled
            If the job is, at the latest after a slice of simulated cycles, or a step of the golden model or a board.
        RtlmError
            If the accelerator stopped with an error, or tokens cannot be drawn.
        """
        self._backend.free()
        self._job = job
        try:
            return self._answer(job)
        finally:
            self._job = None

    def _answer(self, job: Job) -> Ended:
        tokenizer, speculate = self._request.tokenizer, self._request.options.speculate
        kept = self._cached.keep(job.prompt)
        speedometer = Speedometer(self._request.config.clock_mhz)
        stream, texts = tokenizer.stream(special=False), StopTexts(job.stop)
        started = time.perf_counter()
        tokens, cycles, last = 0, 0, -1
        steps = generate(
            self._stepper,
            job.prompt,
            max_tokens=job.max_tokens,
            stop=tokenizer.stop,
            sampling=job.sampling,
            draft=NgramDraft() if speculate else None,
            kept=kept,
        )
        for step in steps:
            self._cached.add(step)
            speedometer.add(step)
            if step.prefill:
                job.post(Fed(tokens=step.inputs[-1].position + 1))
            cycles += step.result.counters.get("CYCLES", 0)
            for last in step.tokens:
                tokens += 1
                _show(job, texts.push(stream.push(last)))
                if texts.found:
                    break
            if texts.found:
                break
        _show(job, texts.push(stream.finish()) + texts.finish())
        return Ended(
            finish_reason="stop" if texts.found or last in tokenizer.stop else "length",
            prompt_tokens=len(job.prompt),
            kept_tokens=kept,
            tokens=tokens,
            cycles=cycles or None,
            speed=speedometer.speed,
            wall_s=time.perf_counter() - started,
        )

    def _check(self) -> None:
        if self._job and self._job.cancelled:
            raise Cancelled


def _show(job: Job, text: str) -> None:
    if text:
        job.post(Piece(text=text))
