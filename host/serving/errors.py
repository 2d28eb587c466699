"""What is wrong with a request, in OpenAI's form."""

from typing import Any

INVALID = "invalid_request_error"
SERVER = "server_error"
"""Kinds of error: the client can put it right, or it cannot."""


class ApiError(Exception):
    """A request is refused, or its answer failed.

    Parameters
    ----------
    status
        HTTP status code.
    message
        A sentence for the client.
    code
        Name of the error for programs.
    param
        Field of the request that is meant.
    kind
        `INVALID` and the like.
    retry_after_s
        Seconds after which the client may try again.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        kind: str = INVALID,
        retry_after_s: int | None = None,
    ):
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s
        self._body = {"message": message, "type": kind, "param": param, "code": code}

    def to_json(self) -> dict[str, Any]:
        """Return the body of the response."""
        return {"error": self._body}

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the response."""
        return {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}


def building(stage: str) -> ApiError:
    """Return the error of a request that comes before the accelerator can answer."""
    return ApiError(
        503,
        f"The accelerator is not ready yet: {stage}. GET /health says when it is.",
        code="not_ready",
        kind=SERVER,
        retry_after_s=10,
    )


def ending() -> ApiError:
    """Return the error of a request whose answer the end of the server has cut off."""
    return ApiError(503, "The server is ending.", code="ending", kind=SERVER)
