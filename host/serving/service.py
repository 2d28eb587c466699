"""Requests in front of one accelerator: who is admitted, who waits, and the loop that answers."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue

from rtlm.gen.common.errors import RtlmError
from rtlm.host.backend import Backend
from rtlm.host.request import Request
from rtlm.host.serving.answerer import Answerer, Cancelled
from rtlm.host.serving.errors import SERVER, ApiError, building, ending
from rtlm.host.serving.job import Ended, Job

MAX_RETRY_S = 60


class Service:
    """One accelerator that answers one request at a time, with a bounded number of others waiting.

    `admit` and `submit` belong to the thread that speaks HTTP, `run` to the one that owns the accelerator; `end` may be
    called from either and from a signal handler.

    Parameters
    ----------
    request
        The model, the accelerator, and the options.
    waiting
        Requests that may wait while one is answered.
    on_answer
        Told of each answer.

    Attributes
    ----------
    stage : str
        What is going on before the accelerator can answer.
    ready : bool
        Whether it can.
    admitted : int
        Requests that wait or are answered.
    """

    def __init__(self, request: Request, *, waiting: int, on_answer: Callable[[Ended], None] = lambda ended: None):
        self.request = request
        self.stage = "starting"
        self.ready = False
        self.admitted = 0
        self._waiting = waiting
        self._on_answer = on_answer
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._current: Job | None = None
        self._ending = False
        self._last_s = 1.0

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Count a request as long as it waits or is answered.

        Raises
        ------
        ApiError
            If the accelerator is not ready, the server ends, or too many requests are waiting.
        """
        if self._ending:
            raise ending()
        if not self.ready:
            raise building(self.stage)
        if self.admitted > self._waiting:
            raise ApiError(
                429,
                f"The accelerator answers one request at a time and {self._waiting} may wait; try again later.",
                code="queue_full",
                kind="requests",
                retry_after_s=round(min(max(self._last_s, 1), MAX_RETRY_S)),
            )
        self.admitted += 1
        try:
            yield
        finally:
            self.admitted -= 1

    def submit(self, job: Job) -> None:
        """Let a job wait for its turn."""
        self._jobs.put(job)
        if self._ending:
            self._refuse_waiting()  # `run` may have looked for the last time.

    def run(self, backend: Backend) -> None:
        """Answer jobs until `end` is called."""
        answerer = Answerer(self.request, backend)
        self.ready = True
        while not self._ending:
            job = self._jobs.get()
            if job is not None and not job.cancelled:
                self._current = job
                self._answer(answerer, job)
                self._current = None
        self.ready = False
        self._refuse_waiting()

    def end(self) -> None:
        """Break off the answer that is being computed, answer no more and let `run` return."""
        self._ending = True
        if job := self._current:
            job.cancel()
        self._jobs.put(None)

    def _refuse_waiting(self) -> None:
        """Tell every job that waits that none is answered any more, from either thread."""
        with suppress(Empty):
            while True:
                if (job := self._jobs.get_nowait()) is not None:
                    job.post(ending())
        self._jobs.put(None)  # `run` may be waiting for the one that was taken here.

    def _answer(self, answerer: Answerer, job: Job) -> None:
        """Answer a job, or tell it why it could not be answered; the server goes on in any case."""
        if self._ending:
            job.post(ending())
            return
        try:
            ended = answerer.answer(job)
        except Cancelled:
            job.post(ending())  # Where the client has gone, nobody listens.
        except RtlmError as error:
            job.post(ApiError(500, f"{str(error).rstrip('.')}.", code="accelerator_error", kind=SERVER))
        except Exception:
            traceback.print_exc()
            job.post(ApiError(500, "The answer failed by a defect of rtlm.", code="defect", kind=SERVER))
        else:
            self._last_s = ended.wall_s
            self._on_answer(ended)
            job.post(ended)
