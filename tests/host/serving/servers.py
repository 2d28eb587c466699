"""Real servers on free ports, for tests that talk to them."""

import contextlib
import http.client
import json
import threading
import types

from openai import DefaultHttpxClient, OpenAI
from rtlm.gen.common.progress import SilentProgress
from rtlm.host.serving.server import base_url, listen, serve
from rtlm.host.session_options import RunOptions

SECONDS = 120
"""How long anything may take on a busy machine."""
BUILD_SECONDS = 1500
"""How long building a simulator may take on one."""


class Server:
    """A server in a thread of its own, and who talks to it."""

    def __init__(self, waiting=4, **options):
        self.listener = listen("127.0.0.1", 0)
        self.url = base_url(self.listener)
        self.port = self.listener.getsockname()[1]
        self.clients = []
        self.answers = []
        self.there, self.is_ready = threading.Event(), threading.Event()
        self.failure = None
        self.thread = threading.Thread(target=self._serve, args=(waiting, RunOptions(texts=(), **options)))
        self.thread.start()
        assert self.there.wait(SECONDS) and not self.failure, self.failure
        self.client = self.new_client()

    def _serve(self, waiting, options):
        try:
            serve(
                options,
                SilentProgress(),
                self.listener,
                waiting=waiting,
                on_service=self._found,
                on_ready=lambda model: self.is_ready.set(),
                on_answer=self.answers.append,
            )
        except Exception as error:
            self.failure = error
        finally:
            self.there.set()
            self.is_ready.set()

    def _found(self, service):
        self.service = service
        self.there.set()

    def wait(self):
        assert self.is_ready.wait(BUILD_SECONDS) and not self.failure, self.failure

    def new_client(self, **options):
        # Without the environment's proxies, which do not know this port.
        values = {"base_url": self.url, "api_key": "none", "max_retries": 0, "timeout": SECONDS}
        client = OpenAI(**values | options, http_client=DefaultHttpxClient(trust_env=False))
        self.clients.append(client)
        return client

    def chat(self, *texts, model="random", **how):
        """Say something as the user, answered by the assistant, and so on."""
        roles = ("user", "assistant")
        messages = [{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)]
        return self.client.chat.completions.create(model=model, messages=messages, **how)

    def send(self, method, path, body=None, *, headers=None, kind="application/json"):
        """Send a request as it is; return status, headers and what JSON there is."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)) as connection:
            headers = {"Content-Type": kind} | (headers or {})
            chunked = not isinstance(body, bytes | str | None)
            connection.request(method, path, body, headers, encode_chunked=chunked)
            response = connection.getresponse()
            return types.SimpleNamespace(
                status=response.status, headers=response.headers, body=json.loads(response.read() or b"null")
            )

    def close(self):
        for client in self.clients:
            client.close()
        self.service.end()
        self.thread.join(BUILD_SECONDS)
        assert not self.thread.is_alive()


class Gate:
    """Lets the golden model compute a step only where a test allows it.

    Attributes
    ----------
    waiting : threading.Event
        Whether a step waits.
    """

    def __init__(self, monkeypatch, engine):
        self.waiting = threading.Event()
        self._open = threading.Event()
        original = engine.step

        def step(engine, columns, **how):
            self.waiting.set()
            assert self._open.wait(SECONDS)
            return original(engine, columns, **how)

        monkeypatch.setattr(engine, "step", step)

    def open(self):
        self._open.set()

    def close(self):
        self.waiting.clear()
        self._open.clear()
