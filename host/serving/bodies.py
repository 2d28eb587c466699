"""Bodies of responses: OpenAI's objects, with the accelerator's own figures in the field ``rtlm``."""

import time
import uuid
from typing import Any

from rtlm.gen.configuration.schema import config_hash
from rtlm.host.models.sources import DEFAULT_MODEL, NAMED
from rtlm.host.request import Request
from rtlm.host.serving.job import Ended


def model_name(request: Request) -> str:
    """Return the name by which clients ask for the model: the one that was asked for, or its file's without suffix."""
    name = str(request.options.model or DEFAULT_MODEL)
    return name if name in NAMED else request.path.stem.encode(errors="replace").decode()


def model_object(request: Request, created: int) -> dict[str, Any]:
    """Return the description of the model."""
    return {"id": model_name(request), "object": "model", "created": created, "owned_by": "rtlm"}


def usage(ended: Ended) -> dict[str, Any]:
    """Return the numbers of tokens of an answer."""
    return {
        "prompt_tokens": ended.prompt_tokens,
        "completion_tokens": ended.tokens,
        "total_tokens": ended.prompt_tokens + ended.tokens,
        "prompt_tokens_details": {"cached_tokens": ended.kept_tokens},
    }


def figures(request: Request, ended: Ended) -> dict[str, Any]:
    """Return what was measured of an answer; null is what nothing measures."""
    speed = ended.speed
    return {
        "backend": request.options.backend,
        "config": request.config.name,
        "clock_mhz": request.config.clock_mhz,
        "cycles": ended.cycles,
        "cycles_per_token": speed.cycles_per_token,
        "tokens_per_s": speed.tokens_per_s,
        "simulator_tokens_per_s": speed.simulated_tokens_per_s,
        "wall_s": ended.wall_s,
    }


class ChatBodies:
    """Bodies of one answer to ``POST /v1/chat/completions``.

    Parameters
    ----------
    request
        What the server answers with.
    """

    prefix, whole, part = "chatcmpl-", "chat.completion", "chat.completion.chunk"

    def __init__(self, request: Request):
        self._request = request
        self._common = {
            "id": f"{self.prefix}{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": model_name(request),
            "system_fingerprint": f"rtlm-{config_hash(request.config)}",
        }

    def answer(self, text: str, ended: Ended) -> dict[str, Any]:
        """Return the body of a whole answer."""
        choice = {"index": 0, **self._content(text), "logprobs": None, "finish_reason": ended.finish_reason}
        return self._body(self.whole, [choice]) | {"usage": usage(ended), "rtlm": figures(self._request, ended)}

    def first(self) -> dict[str, Any] | None:
        """Return the chunk that begins a stream, before there is a token; None where the protocol has none."""
        return self._chunk({"delta": {"role": "assistant", "content": ""}})

    def piece(self, text: str) -> dict[str, Any]:
        """Return the chunk of a piece of the answer."""
        return self._chunk(self._delta(text))

    def last(self, ended: Ended, *, include_usage: bool) -> list[dict[str, Any]]:
        """Return the chunks that end a stream: why, and where it is wanted, the numbers of tokens."""
        chunks = [self._chunk(self._delta(""), ended.finish_reason)]
        if include_usage:
            chunks.append(self._body(self.part, []) | {"usage": usage(ended)})
        chunks[-1]["rtlm"] = figures(self._request, ended)
        return chunks

    def _content(self, text: str) -> dict[str, Any]:
        return {"message": {"role": "assistant", "content": text, "refusal": None}}

    def _delta(self, text: str) -> dict[str, Any]:
        return {"delta": {"content": text} if text else {}}

    def _chunk(self, content: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, **content, "logprobs": None, "finish_reason": finish_reason}
        return self._body(self.part, [choice])

    def _body(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {**self._common, "object": kind, "choices": choices}


class CompletionBodies(ChatBodies):
    """Bodies of one answer to ``POST /v1/completions``."""

    prefix, whole, part = "cmpl-", "text_completion", "text_completion"

    def first(self) -> dict[str, Any] | None:
        """Return None: a stream begins with the first piece."""
        return None

    def _content(self, text: str) -> dict[str, Any]:
        return {"text": text}

    def _delta(self, text: str) -> dict[str, Any]:
        return {"text": text}
