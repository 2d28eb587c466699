"""The routes: what clients ask for becomes jobs, and what comes of them responses."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import ExitStack
from typing import Any

from rtlm.host.errors import ModelError
from rtlm.host.request import chat_prompt
from rtlm.host.runtime.sampling import SamplingParams
from rtlm.host.serving.bodies import ChatBodies, CompletionBodies, model_object
from rtlm.host.serving.errors import SERVER, ApiError, building
from rtlm.host.serving.fields import AnswerFields, ChatFields, CompletionFields, Message, parse_fields
from rtlm.host.serving.hosts import HostCheck
from rtlm.host.serving.job import Ended, Fed, Job, Piece
from rtlm.host.serving.service import Service
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

MAX_BODY_BYTES = 1 << 20
"""Longest body: far more than any context holds."""

BODY_SECONDS = 30
"""How long a body may take to arrive."""

SYSTEM_ROLES = ("system", "developer")
"""Whose message goes before all others; developer is the newer name of the same."""


def make_app(service: Service, names: Collection[str]) -> Starlette:
    """Return the application.

    Parameters
    ----------
    service
        What answers.
    names
        Names besides IP addresses by which clients may call the server.
    """
    api = _Api(service)
    return Starlette(
        routes=[
            Route("/health", api.health),
            Route("/v1/models", api.models),
            Route("/v1/models/{name:path}", api.model),
            Route("/v1/chat/completions", api.chat, methods=["POST"]),
            Route("/v1/completions", api.complete, methods=["POST"]),
        ],
        middleware=[Middleware(HostCheck, names=names)],
        exception_handlers={ApiError: _api_error, HTTPException: _http_error, Exception: _defect},
    )


class _Api:
    """The endpoints.

    Parameters
    ----------
    service
        What answers.
    """

    def __init__(self, service: Service):
        self._service = service
        self._request = service.request
        self._model = model_object(service.request, int(time.time()))
        self._preparing = asyncio.Semaphore(1)

    async def health(self, request: Request) -> Response:
        """Say whether the accelerator can answer, and how many requests are there."""
        service = self._service
        status = {
            "status": "ready" if service.ready else "starting",
            "stage": "" if service.ready else service.stage,
            "model": self._model["id"],
            "backend": self._request.options.backend,
            "requests": service.admitted,
        }
        headers = {} if service.ready else building(service.stage).headers
        return JSONResponse(status, 200 if service.ready else 503, headers)

    async def models(self, request: Request) -> Response:
        """List the model."""
        return JSONResponse({"object": "list", "data": [self._model]})

    async def model(self, request: Request) -> Response:
        """Describe the model."""
        self._check_model(request.path_params["name"])
        return JSONResponse(self._model)

    async def chat(self, request: Request) -> Response:
        """Let the model answer a conversation."""
        fields = parse_fields(ChatFields, await read_body(request))
        return await self._answer(request, fields, ChatBodies(self._request))

    async def complete(self, request: Request) -> Response:
        """Let the model continue a text."""
        fields = parse_fields(CompletionFields, await read_body(request))
        return await self._answer(request, fields, CompletionBodies(self._request))

    def _check_model(self, name: str | None) -> None:
        if name not in (None, own := self._model["id"]):
            raise ApiError(404, f"The model must be {own}, got {name!r:.80}.", code="model_not_found", param="model")

    async def _answer(self, request: Request, fields: AnswerFields, bodies: ChatBodies) -> Response:
        """Answer as a whole or as a stream."""
        self._check_model(fields.model)
        with ExitStack() as stack:
            stack.enter_context(self._service.admit())
            job = await self._job(fields)
            stack.callback(job.cancel)
            self._service.submit(job)
            if fields.stream:
                return _Stream(job, bodies, include_usage=fields.include_usage, until=stack.pop_all())
            return await _whole(request, job, bodies)

    async def _job(self, fields: AnswerFields) -> Job:
        """Make a job, one at a time: a template may take seconds, and memory."""
        async with self._preparing:
            prompt = await asyncio.to_thread(self._prompt, fields)
        options, context = self._request.options, self._request.plan.context
        room = context - len(prompt)
        if room < 1:
            raise ApiError(
                400,
                f"The prompt must fit the context of {context} positions with room for an answer, got {len(prompt)} "
                "tokens.",
                code="context_length_exceeded",
                param="messages" if isinstance(fields, ChatFields) else "prompt",
            )
        sampling = SamplingParams(
            temperature=_given(fields.temperature, options.temperature),
            top_k=options.top_k,
            top_p=_given(fields.top_p, options.top_p),
            seed=_given(fields.seed, options.seed),
        )
        most = min(_given(fields.most_tokens, options.max_tokens), room)
        return Job(prompt=prompt, max_tokens=most, sampling=sampling, stop=fields.stop)

    def _prompt(self, fields: AnswerFields) -> list[int]:
        """Return the tokens of what is asked."""
        tokenizer = self._request.tokenizer
        try:
            if isinstance(fields, ChatFields):
                system, messages = _split(fields.messages)
                prompt = chat_prompt(tokenizer, messages, _given(system, self._request.options.system))
            else:
                assert isinstance(fields, CompletionFields)
                prompt = tokenizer.encode(fields.prompt)
        except ModelError as error:
            text = str(error)
            raise ApiError(400, f"{text[0].upper()}{text[1:]}.", code="invalid_prompt") from None
        if not prompt:
            raise ApiError(400, "The prompt must have at least one token, got none.", code="invalid_prompt")
        return prompt


def _given(value: Any, otherwise: Any) -> Any:
    return otherwise if value is None else value


def _split(messages: Iterable[Message]) -> tuple[str | None, list[dict[str, str]]]:
    """Return the system message, if there is one, and the others for the chat template."""
    said = [{"role": message.role, "content": message.content} for message in messages]
    system = said.pop(0)["content"] if said[0]["role"] in SYSTEM_ROLES else None
    for number, message in enumerate(said, start=int(system is not None)):
        if message["role"] in SYSTEM_ROLES:
            raise ApiError(
                400,
                f"messages.{number}.role must be user or assistant, as only the first message may be of the system, "
                f"got {message['role']}.",
                code="invalid_value",
                param=f"messages.{number}.role",
            )
    if not said:
        raise ApiError(
            400,
            "messages must hold what a user says, got a system message only.",
            code="invalid_value",
            param="messages",
        )
    return system, said


async def read_body(request: Request) -> bytes:
    """Return the body of a request, of at most `MAX_BODY_BYTES` bytes of JSON.

    A type other than JSON is refused: a page of the web may send a form anywhere without asking, but not JSON.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(415, f"The Content-Type must be application/json, got {kind!r:.80}.", code="invalid_type")
    too_large = ApiError(413, f"The body must have at most {MAX_BODY_BYTES:,} bytes, got more.", code="body_too_large")
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or len(length) > 18 or int(length) > MAX_BODY_BYTES:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise too_large
    except TimeoutError:
        raise ApiError(408, f"The body must arrive within {BODY_SECONDS} s.", code="timeout") from None
    return bytes(body)


async def _whole(request: Request, job: Job, bodies: ChatBodies) -> Response:
    """Return the answer once it has ended, or nothing where the client goes before."""
    answer = asyncio.ensure_future(_collect(job))
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ClientDisconnect
        text, ended = answer.result()
        return JSONResponse(bodies.answer(text, ended))
    finally:
        for task in (answer, gone):
            task.cancel()


async def _collect(job: Job) -> tuple[str, Ended]:
    texts: list[str] = []
    async for event in job.events():
        if isinstance(event, Ended):
            return "".join(texts), event
        if isinstance(event, Piece):
            texts.append(event.text)
    raise AssertionError("a job's last event is how it has ended")


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class _Stream(StreamingResponse):
    """The answer as server-sent events, as it comes.

    Parameters
    ----------
    job
        What is answered.
    bodies
        Makes the chunks.
    include_usage
        Whether a chunk with the numbers of tokens is wanted.
    until
        Is closed when the stream has ended, by its end or by the client's.
    """

    def __init__(self, job: Job, bodies: ChatBodies, *, include_usage: bool, until: ExitStack):
        super().__init__(self._events(job, bodies, include_usage), media_type="text/event-stream")
        self.headers["Cache-Control"] = "no-store"
        self._until = until

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        with self._until:
            await super().__call__(scope, receive, send)

    @staticmethod
    async def _events(job: Job, bodies: ChatBodies, include_usage: bool) -> AsyncIterator[bytes]:
        if first := bodies.first():
            yield _event(first)
        try:
            async for event in job.events():
                if isinstance(event, Fed):
                    # A comment, which clients pass over: a step takes seconds, and silence looks like a lost server.
                    yield f": prompt {event.tokens}/{len(job.prompt)}\n\n".encode()
                elif isinstance(event, Ended):
                    for chunk in bodies.last(event, include_usage=include_usage):
                        yield _event(chunk)
                else:
                    yield _event(bodies.piece(event.text))
        except ApiError as error:
            yield _event(error.to_json())
        else:
            yield b"data: [DONE]\n\n"


def _event(body: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(body, ensure_ascii=False).encode(errors="replace") + b"\n\n"


async def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return JSONResponse(error.to_json(), error.status, error.headers)


async def _http_error(request: Request, error: Exception) -> Response:
    """Say in the same form what the router refuses."""
    assert isinstance(error, HTTPException)
    code, text = {
        404: ("not_found", "There is no such path."),
        405: ("method_not_allowed", "The path does not have this method."),
    }.get(error.status_code, ("http_error", f"{error.detail}."))
    return JSONResponse(ApiError(error.status_code, text, code=code).to_json(), error.status_code, error.headers)


async def _defect(request: Request, error: Exception) -> Response:
    """Tell the client nothing about what went wrong; the server's log has it."""
    return JSONResponse(ApiError(500, "A defect of rtlm.", code="defect", kind=SERVER).to_json(), 500)
