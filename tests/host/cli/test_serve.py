"""``rtlm serve`` as it is typed."""

import json
import signal
import socket
import subprocess
import sys
import time
import types
import urllib.error
import urllib.request

import pytest
from rtlm.gen.common.errors import INTERRUPTED, OK, USER_ERROR
from rtlm.host.cli.main import run_command
from rtlm.host.runtime.speedometer import Speed
from rtlm.host.serving import server
from rtlm.host.serving.job import Ended


@pytest.fixture
def model(random_model):
    return random_model(layers=1, dim=64, hidden_dim=96, heads=2, kv_heads=1, vocab=320, context=256)


@pytest.fixture
def served(monkeypatch):
    """Stand in for the server: remember what it is told, answer once."""
    seen = types.SimpleNamespace(options=None)

    def serve(options, progress, listener, *, on_ready, on_answer, **how):
        with listener:
            seen.options, seen.how, seen.address = options, how, listener.getsockname()
        on_ready("a-model")
        speed = Speed(tokens=3, cycles_per_token=2e6, tokens_per_s=150.0, simulated_tokens_per_s=0.5)
        on_answer(
            Ended(
                finish_reason="stop",
                prompt_tokens=9,
                kept_tokens=4,
                tokens=3,
                cycles=9 * 10**6,
                speed=speed,
                wall_s=6.0,
            )
        )

    monkeypatch.setattr(server, "serve", serve)
    return seen


def test_options_reach_the_server(served, capsys):
    arguments = "serve --port 0 --waiting 2 --backend golden -n 9 --system Brief --context 100 --set matmul.columns=2"
    assert run_command(arguments.split()) == OK
    options = served.options
    assert (options.backend, options.max_tokens, options.system, options.context) == ("golden", 9, "Brief", 100)
    assert options.overrides == ("matmul.columns=2",)
    assert served.how == {"names": ("127.0.0.1",), "waiting": 2}
    out, err = capsys.readouterr()
    assert out == f"Serving a-model at http://127.0.0.1:{served.address[1]}/v1; Ctrl-C ends.\n"
    assert err.endswith(
        "prompt 9 tokens, 4 of them in the KV cache before; answer 3 tokens (stop); chip 150 tokens/s; "
        "computed at 0.5 tokens/s\n"
    )
    assert "Warning" not in err


def test_quiet_prints_the_address_only(served, capsys):
    assert run_command(["serve", "--port", "0", "--quiet"]) == OK
    out, err = capsys.readouterr()
    assert out.startswith("Serving a-model at ") and err == ""


def test_an_address_that_others_reach_is_warned_of(served, monkeypatch, capsys):
    monkeypatch.setattr(server, "is_loopback", lambda listener: False)
    assert run_command(["serve", "--port", "0", "--host", "localhost"]) == OK
    assert "Warning: localhost lets other computers in, and nobody is asked for a password." in capsys.readouterr().err


def test_loopback_is_told_from_other_addresses():
    def listener(address):
        return types.SimpleNamespace(getsockname=lambda: (address, 80))

    assert [
        server.is_loopback(listener(address)) for address in ("127.0.0.1", "::1", "0.0.0.0", "::", "192.0.2.1")
    ] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert server.base_url(listener("::1")) == "http://[::1]:80/v1"


def test_addresses_that_cannot_be_had(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert run_command(["serve", "--port", str(taken.getsockname()[1])]) == USER_ERROR
        assert "cannot be listened on: Address already in use." in capsys.readouterr().err
    assert run_command(["serve", "--host", "999.1.2.3"]) == USER_ERROR
    assert "--host '999.1.2.3' must be an address of this computer" in capsys.readouterr().err
    assert run_command(["serve", "--port", "65536"]) == USER_ERROR
    assert "--port must be a whole number, between 0 and 65535, got 65536." in capsys.readouterr().err


def test_what_does_not_fit_is_said_before_anybody_is_answered(model, capsys):
    arguments = ["serve", "--port", "0", "--model", str(model), "-c", "tiny", "--backend", "golden"]
    assert run_command([*arguments, "--context", "9999"]) == USER_ERROR
    assert "the context must have at most 256 positions" in capsys.readouterr().err


def _wait_until_ready(opener, url):
    """A server that is still preparing the model refuses requests with 503."""
    for _ in range(1200):
        try:
            with opener.open(f"{url.removesuffix('/v1')}/health"):
                return
        except urllib.error.HTTPError as error:
            assert error.code == 503
            time.sleep(0.1)
    raise AssertionError("the server was not ready within two minutes")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_in_good_order(model, number):
    arguments = ["serve", "--port", "0", "--model", str(model), "-c", "tiny", "--backend", "golden", "-n", "2"]
    code = f"from rtlm.host.cli.main import main; main({arguments!r})"
    pipes = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([sys.executable, "-c", code], **pipes, text=True) as command:
        url = command.stdout.readline().split(" at ")[1].partition(";")[0]
        request = urllib.request.Request(
            f"{url}/completions", json.dumps({"prompt": "a"}).encode(), {"Content-Type": "application/json"}
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            _wait_until_ready(opener, url)
            with opener.open(request) as response:
                assert json.load(response)["usage"]["completion_tokens"] == 2
        except BaseException:
            command.kill()
            raise
        command.send_signal(number)
        out, err = command.communicate(timeout=120)
    assert (command.returncode, out) == (OK, "")
    assert "Traceback" not in err and "answer 2 tokens (length)" in err


@pytest.mark.slow
def test_a_signal_before_the_server_is_ready_interrupts(model):
    arguments = ["serve", "--port", "0", "--model", str(model), "-c", "tiny", "--backend", "golden"]
    code = (
        "import contextlib, time; from rtlm.host.serving import server; from rtlm.host.cli.main import main\n"
        "@contextlib.contextmanager\n"
        "def building(request, progress):\n"
        "    print('building', flush=True)\n"
        "    time.sleep(1000)\n"
        "    yield\n"
        f"server.open_backend = building; main({arguments!r})"
    )
    pipes = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([sys.executable, "-c", code], **pipes, text=True) as command:
        assert command.stdout.readline() == "building\n"
        command.send_signal(signal.SIGINT)
        _, err = command.communicate(timeout=120)
    assert command.returncode == INTERRUPTED
    assert err.endswith("Interrupted.\n") and "Traceback" not in err
