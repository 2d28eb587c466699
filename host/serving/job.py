"""A request on its way through the accelerator, between the thread that speaks HTTP and the one that computes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

from rtlm.host.runtime.sampling import SamplingParams
from rtlm.host.runtime.speedometer import Speed
from rtlm.host.serving.errors import ApiError


@dataclass(frozen=True, kw_only=True)
class Fed:
    """A step has fed a part of the prompt: so many of its tokens lie in the KV cache."""

    tokens: int


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A piece of the answer."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Ended:
    """The answer has ended.

    Parameters
    ----------
    finish_reason
        ``stop``: the model ended it, or a text at which it was to end came; ``length``: a limit.
    prompt_tokens
        Tokens of the prompt.
    kept_tokens
        Of them, those that lay in the KV cache and were not fed.
    tokens
        Tokens of the answer, with one that ends it.
    cycles
        Clock cycles of all steps, those of the prompt among them; None where nothing counts them.
    speed
        Of the tokens after the first.
    wall_s
        Seconds from the first step to the last.
    """

    finish_reason: str
    prompt_tokens: int
    kept_tokens: int
    tokens: int
    cycles: int | None
    speed: Speed
    wall_s: float


Event = Fed | Piece | Ended | ApiError


@dataclass(kw_only=True, eq=False)
class Job:
    """What is to be answered.

    Parameters
    ----------
    prompt
        Token ids.
    max_tokens
        Tokens to generate at most; they fit the context.
    sampling
        How tokens are chosen.
    stop
        Texts at which the answer ends.
    cancelled
        Whether nobody wants the answer any more; any thread may say so.
    """

    prompt: list[int]
    max_tokens: int
    sampling: SamplingParams
    stop: tuple[str, ...] = ()
    cancelled: bool = False
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    _queue: asyncio.Queue[Event] = field(default_factory=asyncio.Queue)

    def cancel(self) -> None:
        """Say that nobody wants the answer any more; from any thread."""
        self.cancelled = True

    def post(self, event: Event) -> None:
        """Tell what has happened; from the thread that computes."""
        with suppress(RuntimeError):  # The loop has ended: nobody listens any more.
            self._loop.call_soon_threadsafe(self._queue.put_nowait, event)

    async def events(self) -> AsyncIterator[Fed | Piece | Ended]:
        """Yield what happens: the prompt is fed, the answer comes piece by piece, and at last how it has ended.

        Raises
        ------
        ApiError
            If it could not be computed.
        """
        while True:
            event = await self._queue.get()
            if isinstance(event, ApiError):
                raise event
            yield event
            if isinstance(event, Ended):
                return
