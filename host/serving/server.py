"""The server: a socket, a thread that speaks HTTP, and the accelerator in the calling thread."""

import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import uvicorn
from rtlm.gen.common.errors import RtlmError
from rtlm.gen.common.progress import Progress
from rtlm.host.backend import open_backend
from rtlm.host.request import chat_prompt, make_request, user_message
from rtlm.host.runtime.interruption import first_signal
from rtlm.host.serving.app import make_app
from rtlm.host.serving.bodies import model_name
from rtlm.host.serving.job import Ended
from rtlm.host.serving.service import Service
from rtlm.host.session_options import RunOptions

MAX_CONNECTIONS = 64
KEEP_ALIVE_S = 15
SHUTDOWN_S = 3
"""How long connections may stay open when the server ends."""

LOCAL_NAME = "localhost"


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises
    ------
    RtlmError
        If the address cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise RtlmError(f"--host {host!r:.80} must be an address of this computer, got {error}") from None
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(MAX_CONNECTIONS)
    except OSError as error:
        found.close()
        raise RtlmError(f"--host {host} --port {port} cannot be listened on: {error.strerror}") from None
    return found


def is_loopback(listener: socket.socket) -> bool:
    """Return whether only this computer reaches a socket."""
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def base_url(listener: socket.socket) -> str:
    """Return what clients take as base URL."""
    address, port = listener.getsockname()[:2]
    return f"http://{f'[{address}]' if ':' in address else address}:{port}/v1"


class _StageTold:
    """Passes on what happens, and tells the service what is going on.

    Parameters
    ----------
    progress
        Where it goes.
    service
        Whose `stage` it is.
    """

    def __init__(self, progress: Progress, service: Service):
        self._service = service
        self._stage = progress.stage
        self.note, self.text, self.close = progress.note, progress.text, progress.close

    def stage(self, name: str, done: int = 0, total: int = 0) -> None:
        """Show what is going on."""
        self._service.stage = name
        self._stage(name, done, total)


def serve(
    options: RunOptions,
    progress: Progress,
    listener: socket.socket,
    *,
    names: tuple[str, ...] = (),
    waiting: int,
    on_ready: Callable[[str], None] = lambda model: None,
    on_answer: Callable[[Ended], None] = lambda ended: None,
    on_service: Callable[[Service], None] = lambda service: None,
) -> None:
    """Answer requests until a SIGINT or SIGTERM, or `Service.end`.

    Before the accelerator can answer, requests are told so, and a signal interrupts as it does elsewhere.

    Parameters
    ----------
    options
        The model, the accelerator, and what holds where a request says nothing; texts are not looked at.
    progress
        Told what happens until the accelerator can answer.
    listener
        Where clients call; it is closed at the end.
    names
        Names besides localhost by which they may call.
    waiting
        Requests that may wait while one is answered.
    on_ready
        Told the model's name when the accelerator can answer.
    on_answer
        Told of each answer.
    on_service
        Given the service before anything is built.

    Raises
    ------
    ConfigError, ModelError, AcceleratorError, GenerateError, ToolError, SimulationError
        If something given is not allowed, or a tool is missing; each text is a sentence.
    """
    with listener:
        request = make_request(replace(options, texts=(), chat=True), progress)
        if options.system is not None:
            # Whether the template takes it is not to be found out by a client.
            chat_prompt(request.tokenizer, [user_message("?")], options.system)
        service = Service(request, waiting=waiting, on_answer=on_answer)
        on_service(service)
        told = _StageTold(progress, service)
        with _http(service, listener, names), open_backend(request, told) as backend:
            on_ready(model_name(request))
            # The first signal ends the server in good order.
            with first_signal(lambda number: service.end()):
                service.run(backend)


@contextmanager
def _http(service: Service, listener: socket.socket, names: tuple[str, ...]) -> Iterator[None]:
    """Speak HTTP in a thread."""
    server = uvicorn.Server(
        uvicorn.Config(
            make_app(service, (LOCAL_NAME, *names)),
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=SHUTDOWN_S,
        )
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="http", daemon=True)
    thread.start()
    try:
        yield
    finally:
        service.end()
        server.should_exit = True
        thread.join(2 * SHUTDOWN_S)
