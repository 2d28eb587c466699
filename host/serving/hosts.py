"""Whose requests are heard: a page of the web that has its own name resolve to this computer is not (DNS rebinding)."""

import ipaddress
from collections.abc import Collection

from rtlm.host.serving.errors import ApiError
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

MAX_SHOWN = 80


class HostCheck:
    """Refuses requests whose Host is neither an IP address nor one of some names.

    Parameters
    ----------
    app
        What answers the others.
    names
        Names that this server has.
    """

    def __init__(self, app: ASGIApp, names: Collection[str]):
        self._app = app
        self._names = frozenset(name.lower() for name in names if not is_address(name))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        host = Headers(scope=scope).get("host", "")
        if is_address(name := host_name(host)) or name in self._names:
            await self._app(scope, receive, send)
            return
        error = ApiError(
            403,
            f"The Host of a request must be an IP address or {' or '.join(sorted(self._names))}, "
            f"got {host[:MAX_SHOWN]!r}; rtlm serve --host NAME allows another.",
            code="host_not_allowed",
        )
        await JSONResponse(error.to_json(), error.status)(scope, receive, send)


def host_name(host: str) -> str:
    """Return a Host without its port, in lower case, and an IPv6 address without its brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def is_address(name: str) -> bool:
    """Return whether a name is an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
