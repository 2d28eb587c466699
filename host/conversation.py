"""A conversation with a model: turns, the part of the KV cache that they share, and the report of all of them."""

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from rtlm.gen.common.progress import Progress
from rtlm.host.answering import answer_prompt
from rtlm.host.backend import Backend, earlier_activity, open_backend, report_run
from rtlm.host.errors import ContextError
from rtlm.host.reports.measurements import ActivityMeasurement, GeneratedText, TurnMeasurement
from rtlm.host.reports.report import Report
from rtlm.host.request import Request, chat_prompt, make_request, user_message
from rtlm.host.runtime.cached_tokens import CachedTokens
from rtlm.host.runtime.generation import Step
from rtlm.host.runtime.interruption import InterruptibleStepper
from rtlm.host.runtime.speedometer import Speedometer
from rtlm.host.session_options import RunOptions


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What was said, and what came of it.

    Parameters
    ----------
    measurement
        The turn in the report.
    generated
        Tokens of the conversation up to the answer, and the answer.
    interrupted_by
        Signal that ended the answer; None where none did.
    """

    measurement: TurnMeasurement
    generated: GeneratedText
    interrupted_by: int | None = None


class Conversation:
    """A conversation that feeds each of its tokens once.

    Keys and values stay in the KV cache between turns. What is fed is the conversation as the chat template writes it
    from the first token that differs from what lies there: usually what is new; more where the template rewrites
    earlier turns, or where an answer, read as text, is cut into other tokens than those that were generated.
    Every answer is bit for bit what `rtlm run` generates from the same tokens with the same sampling and seed.

    Parameters
    ----------
    request
        The model, the accelerator, and how tokens are chosen; without prompts.
    backend
        What computes.
    activity
        Switching activity for the power in reports; None where none was counted.
    """

    def __init__(self, request: Request, backend: Backend, *, activity: ActivityMeasurement | None = None):
        self.request = request
        self.turns: list[Turn] = []
        """All turns, also those before a `clear`."""
        self.tokens = 0
        """Tokens of the conversation so far."""
        self.speedometer = Speedometer(request.config.clock_mhz)
        self._backend = backend
        self._activity = activity
        self._measured = backend.measure(backend.stepper)
        self._messages: list[dict[str, str]] = []
        self._steps: list[Step] = []
        self._cached = CachedTokens()
        self._interrupted = False

    @property
    def context(self) -> int:
        """Positions that the conversation can have."""
        return self._backend.stepper.context

    def say(self, text: str, progress: Progress) -> Turn:
        """Say something and let the model answer.

        A SIGINT or SIGTERM while it answers ends the answer, of which what there is stays in the conversation; without
        a token of it, what was said is taken back. So it is where an error is raised.

        Parameters
        ----------
        text
            What is said.
        progress
            Told what happens, and given the answer piece by piece.

        Raises
        ------
        ContextError
            If the conversation does not fit the context.
        ModelError
            If it cannot be rendered.
        AcceleratorError
            If the accelerator stopped with an error; it can be used again.
        """
        messages = [*self._messages, user_message(text)]
        prompt = chat_prompt(self.request.tokenizer, messages, self.request.options.system)
        room = self.context - len(prompt)
        if room < 1:
            raise ContextError(
                f"the conversation must fit the context of {self.context} positions with room for an answer, got "
                f"{len(prompt)} tokens with what was said last"
            )
        kept = self._cached.keep(prompt)
        self._backend.free()
        if self._measured:
            # A signal may have come between the end of a step and its report.
            del self._measured.clocks[len(self._steps) :]
            del self._measured.layers[len(self._steps) :]
        self.speedometer.restart()
        progress.stage("reading the prompt", kept, len(prompt))
        stepper = InterruptibleStepper(self._measured or self._backend.stepper)
        started = time.perf_counter()
        most = min(self.request.options.max_tokens, room)
        before = len(self._steps)
        _, generated = answer_prompt(
            self.request, prompt, stepper, progress, max_tokens=most, kept=kept, on_step=self._ended
        )
        self._interrupted |= stepper.interrupted
        steps = self._steps[before:]
        cycles = [step.result.counters.get("CYCLES") for step in steps]
        ending = "context" if most < self.request.options.max_tokens else "max_tokens"
        if generated.token_ids and generated.token_ids[-1] in self.request.tokenizer.stop:
            ending = "stop"
        elif len(generated.token_ids) < most:
            ending = "interrupted"
        turn = Turn(
            measurement=TurnMeasurement(
                question=text,
                answer=generated.text,
                prompt_tokens=len(prompt),
                kept_tokens=kept,
                tokens=len(generated.token_ids),
                steps=len(steps),
                cycles=None if None in cycles else sum(count or 0 for count in cycles),
                wall_s=stepper.ended_at - started if steps else 0.0,
                ending=ending,
            ),
            generated=generated,
            interrupted_by=stepper.signal,
        )
        self.turns.append(turn)
        if generated.token_ids:
            self.tokens = len(prompt) + len(generated.token_ids)
            self._messages = [*messages, {"role": "assistant", "content": generated.text}]
        return turn

    def clear(self) -> None:
        """Begin anew; the report goes on, and what the next prompt shares with the last stays in the KV cache."""
        self._messages, self.tokens = [], 0

    def report(self) -> Report:
        """Return the report of all turns so far, as of one sequence: all that was fed, and all that was answered."""
        fed = [turn.generated.prompt_ids[turn.measurement.kept_tokens :] for turn in self.turns]
        measurements = [turn.measurement for turn in self.turns]
        sequence = GeneratedText(
            prompt_ids=list(itertools.chain(*fed)),
            token_ids=list(itertools.chain(*(turn.generated.token_ids for turn in self.turns))),
            text="\n".join(turn.answer for turn in measurements),
        )
        return report_run(
            self.request,
            self._backend,
            self._measured,
            steps=self._steps,
            sequences=[sequence],
            wall_s=sum(turn.wall_s for turn in measurements),
            activity=self._activity,
            turns=measurements,
            interrupted=self._interrupted,
        )

    def _ended(self, step: Step) -> None:
        """Note a step that has ended."""
        self._cached.add(step)
        self._steps.append(step)
        self.speedometer.add(step)


@contextmanager
def open_conversation(options: RunOptions, progress: Progress) -> Iterator[Conversation]:
    """Make what answers, checking first that the model can chat.

    Parameters
    ----------
    options
        The model, the accelerator, and how tokens are chosen; texts are not looked at.
    progress
        Told what happens.

    Raises
    ------
    ConfigError, ModelError, AcceleratorError, GenerateError, ToolError, SimulationError
        If something given is not allowed, or a tool is missing; each text is a sentence.
    """
    request = make_request(replace(options, texts=(), chat=True), progress)
    # Whether there is a template, and one that takes the system message, is not to be found out after a build.
    chat_prompt(request.tokenizer, [user_message("?")], options.system)
    with open_backend(request, progress) as backend:
        _, activity = earlier_activity(request, progress)
        yield Conversation(request, backend, activity=activity)
