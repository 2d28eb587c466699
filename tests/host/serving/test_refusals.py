"""What is not allowed is refused in OpenAI's form, and the server goes on."""

import contextlib
import json
import socket
import threading
import time
import types

import pytest
from openai import APIError, BadRequestError, InternalServerError, NotFoundError, RateLimitError
from rtlm.host.errors import AcceleratorError
from rtlm.host.golden.engine import GoldenEngine
from rtlm.host.models.tokenizer import Tokenizer
from rtlm.host.serving import app
from rtlm.host.serving import server as serving
from rtlm.host.serving.errors import ApiError
from rtlm.host.serving.fields import ChatFields, CompletionFields, parse_fields
from rtlm.host.serving.hosts import host_name, is_address
from rtlm.host.serving.service import Service

from tests.host.serving.servers import SECONDS, Gate

CHAT = "/v1/chat/completions"
HELLO = {"messages": [{"role": "user", "content": "hello"}]}


@pytest.mark.parametrize(
    ("changes", "param", "sentence"),
    [
        ({"n": 2}, "n", "n must be 1 or left out, got 2."),
        ({"n": True}, "n", "n must be 1 or left out, got true."),
        ({"logprobs": True}, "logprobs", "logprobs must be false or left out, got true."),
        ({"logit_bias": {"5": 1}}, "logit_bias", "logit_bias must be {} or left out, got {'5': 1}."),
        ({"tools": [{"type": "function"}]}, "tools", "tools must be [] or left out"),
        ({"frequency_penalty": 0.5}, "frequency_penalty", "frequency_penalty must be 0 or left out, got 0.5."),
        (
            {"response_format": {"type": "json_object"}},
            "response_format",
            'response_format must be {"type": "text"}',
        ),
        ({"reasoning_effort": "high"}, "reasoning_effort", "reasoning_effort is not supported."),
        ({"colour": "red"}, "colour", "colour is not supported."),
        ({"temperature": "1"}, "temperature", "temperature must be a number from 0 to 100, got '1'."),
        ({"temperature": 101}, "temperature", "temperature must be a number from 0 to 100, got 101."),
        ({"top_p": 0}, "top_p", "top_p must be a number from 1e-06 to 1, got 0."),
        ({"max_tokens": 0}, "max_tokens", "max_tokens must be an integer from 1 to 2147483647, got 0."),
        ({"max_tokens": 2.5}, "max_tokens", "max_tokens must be an integer from 1 to 2147483647, got 2.5."),
        ({"max_completion_tokens": -1}, "max_completion_tokens", "max_completion_tokens must be an integer from 1"),
        ({"seed": -1}, "seed", "seed must be an integer from 0 to 9223372036854775807, got -1."),
        ({"stop": ["a"] * 5}, "stop", "stop must be a text or a list of at most 4 texts"),
        ({"stop": ""}, "stop", "stop must be texts of 1 to 256 characters, got ''."),
        ({"stream": 1}, "stream", "stream must be true or false, got 1."),
        ({"stream_options": {"include_usage": True}}, "stream_options", "stream_options needs stream: true."),
        ({"stream": True, "stream_options": []}, "stream_options", "stream_options must be an object, got []."),
        ({"model": 5}, "model", "model must be a text, got 5."),
        ({"messages": None}, "messages", "messages is missing."),
        ({"messages": []}, "messages", "messages must be a list of at least one message, got []."),
        ({"messages": ["hello"]}, "messages.0", "messages.0 must be an object, got 'hello'."),
        ({"messages": [{"role": "user"}]}, "messages.0.content", "messages.0.content is missing."),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role", "messages.0.role must be one of system,"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages.0.content",
            "messages.0.content must be a text, or a list of parts of type text",
        ),
        (
            {"messages": [{"role": "user", "content": "x", "name": "Ada"}]},
            "messages.0.name",
            "messages.0.name is not supported.",
        ),
    ],
)
def test_fields_that_are_refused(changes, param, sentence):
    with pytest.raises(ApiError) as caught:
        parse_fields(ChatFields, json.dumps(HELLO | changes).encode())
    error = caught.value.to_json()["error"]
    assert caught.value.status == 400
    assert error["message"].startswith(sentence)
    assert (error["param"], error["type"]) == (param, "invalid_request_error")


def test_fields_that_ask_for_nothing_are_accepted():
    neutral = {"n": 1, "logprobs": False, "logit_bias": {}, "tools": [], "tool_choice": "none", "presence_penalty": 0.0}
    ignored = {"user": "Ada", "store": True, "metadata": {"a": "b"}, "service_tier": "auto"}
    nulls = dict.fromkeys(("temperature", "stop", "stream", "stream_options", "max_tokens", "audio"))
    said = {"role": "assistant", "content": "x", "refusal": None, "tool_calls": None, "annotations": []}
    body = HELLO | neutral | ignored | nulls | {"messages": [*HELLO["messages"], said]}
    fields = parse_fields(ChatFields, json.dumps(body).encode())
    assert fields.model_dump(exclude_defaults=True) == {
        "messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "x"}]
    }


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "The body must be JSON: EOF"),
        (b"\xff", "The body must be JSON"),
        (b'{"temperature": NaN}', "The body must be JSON"),
        (b'{"seed": ' + b"9" * 100_000 + b"}", "The body must be JSON: number out of range"),
        (b"[" * 100_000, "The body must be JSON: recursion limit exceeded"),
        (b'{"prompt": "\\ud800"}', "The body must be JSON"),
        (b"[1]", "The body must be a JSON object, got [1]."),
        (b'{"prompt": ["a", "b"]}', "prompt must be one text that is not empty, got ['a', 'b']."),
        (b'{"prompt": "a", "echo": true}', "echo must be false or left out, got true."),
    ],
)
def test_bodies_that_are_refused(body, sentence):
    with pytest.raises(ApiError) as caught:
        parse_fields(CompletionFields, body)
    assert (caught.value.status, caught.value.to_json()["error"]["message"][: len(sentence)]) == (400, sentence)


def test_clients_raise_what_they_raise_elsewhere(server):
    with pytest.raises(BadRequestError, match="n must be 1 or left out, got 2") as caught:
        server.chat("hello", n=2)
    assert (caught.value.param, caught.value.code) == ("n", "unsupported_value")
    with pytest.raises(NotFoundError, match="The model must be random, got 'gpt-4'") as caught:
        server.chat("hello", model="gpt-4")
    assert (caught.value.param, caught.value.code) == ("model", "model_not_found")
    with pytest.raises(NotFoundError):
        server.client.models.retrieve("gpt-4")
    assert [model.id for model in server.client.models.list()] == ["random"]
    assert server.client.models.retrieve("random").owned_by == "rtlm"
    with pytest.raises(BadRequestError, match=r"messages\.1\.role must be user or assistant") as caught:
        messages = [{"role": "user", "content": "x"}, {"role": "system", "content": "x"}]
        server.client.chat.completions.create(model="random", messages=messages)


def test_a_prompt_that_does_not_fit_is_refused_with_the_numbers(server):
    with pytest.raises(
        BadRequestError, match=r"must fit the context of 256 positions with room .*, got \d+ tokens"
    ) as e:
        server.chat("a1" * 200, stream=True)
    assert (e.value.code, e.value.param) == ("context_length_exceeded", "messages")
    with pytest.raises(BadRequestError) as e:
        server.client.completions.create(model="random", prompt="a1" * 200)
    assert (e.value.code, e.value.param) == ("context_length_exceeded", "prompt")


def test_a_model_without_a_template_continues_texts_only(start, monkeypatch):
    server = start()
    monkeypatch.setattr(server.service.request.tokenizer, "_template", "")
    with pytest.raises(BadRequestError, match="The model has no chat template"):
        server.chat("hello")
    assert server.client.completions.create(model="random", prompt="hello").choices[0].text


def test_a_system_message_that_the_template_leaves_out_is_refused(server, monkeypatch):
    monkeypatch.setattr(Tokenizer, "chat", lambda self, messages: messages[-1]["content"])
    messages = [{"role": "system", "content": "Be brief."}, *HELLO["messages"]]
    with pytest.raises(BadRequestError, match="must use the system message"):
        server.client.chat.completions.create(model="random", messages=messages)


@pytest.mark.parametrize(
    ("method", "path", "body", "more", "status", "code"),
    [
        ("POST", CHAT, "{", {}, 400, "invalid_json"),
        ("POST", CHAT, "x=1", {"kind": "application/x-www-form-urlencoded"}, 415, "invalid_type"),
        ("POST", CHAT, json.dumps(HELLO), {"kind": "text/plain"}, 415, "invalid_type"),
        ("POST", CHAT, " " * (app.MAX_BODY_BYTES + 1), {}, 413, "body_too_large"),
        ("POST", CHAT, [b" " * (1 << 18)] * 5, {}, 413, "body_too_large"),
        ("POST", "/v1/embeddings", "{}", {}, 404, "not_found"),
        ("GET", CHAT, None, {}, 405, "method_not_allowed"),
        ("GET", "/v1/models", None, {"headers": {"Host": "evil.example"}}, 403, "host_not_allowed"),
        (
            "POST",
            CHAT,
            json.dumps(HELLO),
            {"headers": {"Host": "127.0.0.1.evil.example"}},
            403,
            "host_not_allowed",
        ),
    ],
)
def test_requests_that_are_refused(server, method, path, body, more, status, code):
    response = server.send(method, path, body, **more)
    assert (response.status, response.body["error"]["code"]) == (status, code)
    assert "Access-Control-Allow-Origin" not in response.headers
    assert server.send("GET", "/health").status == 200


def test_hosts_by_which_clients_may_call(server):
    for host in ("localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8000", "192.0.2.1"):
        assert server.send("GET", "/v1/models", headers={"Host": host}).status == 200
    assert (host_name("[::1]:80"), host_name("Name:80"), host_name("")) == ("::1", "name", "")
    assert is_address("::1") and not is_address("") and not is_address("1.2.3.4.example")


def test_what_is_no_http_ends_the_connection_only(server):
    with socket.create_connection(("127.0.0.1", server.port), SECONDS) as connection:
        connection.sendall(b"\x00\xff" * 50_000)
        connection.settimeout(SECONDS)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(100).startswith(b"HTTP/1.1 400")
    assert server.send("GET", "/health").status == 200


def test_a_body_that_does_not_arrive_is_given_up(server, monkeypatch):
    monkeypatch.setattr(app, "BODY_SECONDS", 0.1)
    with socket.create_connection(("127.0.0.1", server.port), SECONDS) as connection:
        head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"
        connection.sendall(head.encode())
        connection.settimeout(SECONDS)
        assert connection.recv(100).startswith(b"HTTP/1.1 408")


def test_a_request_too_many_is_refused(start, monkeypatch):
    gate = Gate(monkeypatch, GoldenEngine)
    server = start(waiting=1)
    first, second = server.chat("hello", stream=True), server.chat("hello", stream=True)
    assert gate.waiting.wait(SECONDS)
    with pytest.raises(RateLimitError, match="answers one request at a time and 1 may wait") as caught:
        server.chat("hello")
    assert 1 <= int(caught.value.response.headers["Retry-After"]) <= 60
    assert caught.value.code == "queue_full"
    assert server.send("GET", "/health").body["requests"] == 2
    gate.open()
    assert len(list(first)) == len(list(second)) > 3
    # The client's own retries end well once there is room.
    gate.close()
    streams = [server.chat("hello", stream=True) for _ in range(2)]
    monkeypatch.setattr(server.service, "_last_s", 1.0)
    gate.open()
    assert server.new_client(max_retries=5).completions.create(model="random", prompt="a").usage.completion_tokens == 8
    assert all(list(stream) for stream in streams)


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_goes_frees_the_accelerator(start, monkeypatch, stream):
    """Also one that waits for its turn."""
    gate = Gate(monkeypatch, GoldenEngine)
    server = start(max_tokens=100)
    gone = [_going(server, stream) for _ in range(2)]
    assert gate.waiting.wait(SECONDS)
    _until(lambda: server.service.admitted == 2)
    for connection in gone:
        connection.close()
    _until(lambda: server.service.admitted == 0)
    gate.open()
    answer = server.chat("hello", max_tokens=3)
    assert answer.usage.completion_tokens == 3
    assert len(server.answers) == 1


def _going(server, stream):
    """Return the connection of a request that has been sent."""
    connection = socket.create_connection(("127.0.0.1", server.port), SECONDS)
    body = json.dumps(HELLO | {"stream": stream})
    head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
    return connection


def _until(condition):
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_before_the_accelerator_can_answer_requests_are_told_so(start, monkeypatch):
    built = threading.Event()
    original = serving.open_backend

    @contextlib.contextmanager
    def slow(request, progress):
        progress.stage("compiling", 1, 9)
        assert built.wait(SECONDS)
        with original(request, progress) as backend:
            yield backend

    monkeypatch.setattr(serving, "open_backend", slow)
    server = start(ready=False)
    _until(lambda: server.service.stage == "compiling")
    with pytest.raises(InternalServerError, match="not ready yet: compiling") as caught:
        server.chat("hello")
    assert (caught.value.status_code, caught.value.response.headers["Retry-After"]) == (503, "10")
    response = server.send("GET", "/health")
    assert (response.status, response.body["status"], response.body["stage"]) == (503, "starting", "compiling")
    assert [model.id for model in server.client.models.list()] == ["random"]
    built.set()
    server.wait()
    _until(lambda: server.send("GET", "/health").status == 200)
    assert server.chat("hello").usage.completion_tokens == 8


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (AcceleratorError("the accelerator stopped with error 3"), "the accelerator stopped with error 3."),
        (ValueError("a secret"), "The answer failed by a defect of rtlm."),
    ],
)
def test_an_answer_that_fails_says_so_and_the_next_one_is_right(start, monkeypatch, capsys, error, sentence):
    server = start()
    expected = server.chat("hello").choices[0].message.content
    original = GoldenEngine.step
    left = 2

    def step(engine, columns, **how):
        nonlocal left
        left -= 1
        if left < 0:
            raise error
        return original(engine, columns, **how)

    monkeypatch.setattr(GoldenEngine, "step", step)
    with pytest.raises(InternalServerError, match=sentence.replace(".", r"\.")) as caught:
        server.chat("goodbye")
    assert "secret" not in caught.value.message
    with pytest.raises(APIError, match=sentence.replace(".", r"\.")):
        list(server.chat("goodbye", stream=True))
    monkeypatch.setattr(GoldenEngine, "step", original)
    assert server.chat("hello").choices[0].message.content == expected
    assert ("ValueError: a secret" in capsys.readouterr().err) == isinstance(error, ValueError)


@pytest.mark.parametrize("stream", [True, False])
def test_the_end_of_the_server_ends_answers(start, monkeypatch, stream):
    gate = Gate(monkeypatch, GoldenEngine)
    server = start(max_tokens=100)
    connections = [_going(server, stream) for _ in range(2)]
    assert gate.waiting.wait(SECONDS)
    _until(lambda: server.service.admitted == 2)
    server.service.end()
    gate.open()
    server.thread.join(SECONDS)
    assert not server.thread.is_alive() and not server.answers
    for connection in connections:
        with connection:
            connection.settimeout(SECONDS)
            text = b""
            while piece := connection.recv(4096):
                text += piece
            assert b"The server is ending." in text


def test_a_job_that_comes_after_the_end_is_refused():
    service = Service(None, waiting=1)
    service.end()
    told = []
    service.submit(types.SimpleNamespace(post=told.append, cancelled=False))
    assert [str(error) for error in told] == ["The server is ending."]
