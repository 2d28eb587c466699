"""``rtlm chat``: piped lines, commands within the conversation, and a terminal."""

import contextlib
import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
import types

import pytest
from rich.console import Console
from rtlm.gen.common.errors import INTERRUPTED, OK, USER_ERROR
from rtlm.gen.common.progress import SilentProgress
from rtlm.host.cli.chat import speeds
from rtlm.host.cli.live_answer import LiveAnswer
from rtlm.host.cli.main import run_command
from rtlm.host.request import make_request
from rtlm.host.runtime.speedometer import Speed
from rtlm.host.session_options import RunOptions


@pytest.fixture(scope="module")
def model(random_model):
    return random_model(layers=1, dim=64, hidden_dim=96, heads=2, kv_heads=1, vocab=320, context=512)


@pytest.fixture
def arguments(model):
    """Return the arguments of a conversation with the golden model."""

    def arguments(*more):
        return ["chat", "--backend", "golden", "-c", "tiny", "--model", str(model), "-n", "4", *more]

    return arguments


@pytest.fixture
def chat(arguments, monkeypatch, capsys):
    """Pipe text into a conversation; return the exit code and what was printed."""

    def chat(text, *more):
        stdin = io.TextIOWrapper(io.BytesIO(text if isinstance(text, bytes) else text.encode()), encoding="utf-8")
        monkeypatch.setattr(sys, "stdin", stdin)
        code = run_command(arguments(*more))
        return code, *capsys.readouterr()

    return chat


def test_each_piped_line_is_a_turn(chat, tmp_path):
    path = tmp_path / "chat.json"
    code, out, err = chat(f"hello\n\n  and now?\n/save {path}\n//etc\n", "--seed", "3", "--temperature", "0.5")
    assert code == OK, err
    report = json.loads(path.read_text(encoding="utf-8"))
    assert [turn["question"] for turn in report["turns"]] == ["hello", "and now?"]
    assert out.startswith(report["turns"][0]["answer"] + "\n" + report["turns"][1]["answer"] + "\n")
    assert report["tokens"] == sum(turn["tokens"] for turn in report["turns"])
    assert report["schema"] == "rtlm.report"
    assert err.count("golden model, without cycles, ") == 3
    assert f"of them {report['turns'][1]['kept_tokens']} in the KV cache before" in err
    assert f"The report is in {path}." in err


def test_quiet_prints_answers_only(chat):
    code, out, err = chat("hello\n", "--quiet")
    assert (code, err) == (OK, "")
    assert out.count("\n") >= 1


def test_commands(chat, model):
    code, out, err = chat("hello\n/report\n/config\n/help\n/clear\n/config\n/quit\nnever said\n")
    assert code == OK, err
    assert "golden on this computer" in out
    assert "4 generated" in out
    first, second = (line for line in out.splitlines() if line.startswith("context"))
    assert "of 256 positions" in first
    assert second.split()[1] == "0" != first.split()[1]
    assert str(model) in out
    assert "/save FILE" in out
    assert err.count("[4 tokens") == 1


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("/frobnicate", "There is no command /frobnicate; /help lists them"),
        ("/report now", "There is no command /report now;"),
        ("/report", "Nothing has been said yet"),
        ("/save", "/save needs the name of a file"),
        ("/save x.json", "Nothing has been said yet"),
        ("hello\n/save /nowhere/x.json", "/save /nowhere/x.json cannot be written: there is no folder /nowhere"),
    ],
)
def test_what_is_wrong_is_said_and_the_next_line_is_read(chat, line, sentence):
    code, out, err = chat(f"{line}\n/help\n")
    assert code == USER_ERROR
    assert sentence in err
    assert "/quit" in out


def test_an_overflow_is_said_with_the_numbers(chat):
    code, _, err = chat(f"{'a' * 200}\n/clear\nb\n", "--context", "64")
    assert code == USER_ERROR
    assert "the conversation must fit the context of 64 positions with room for an answer, got 1" in err
    assert "It is taken back; say less, or begin anew with /clear.\n" in err
    assert "[4 tokens" in err
    code, _, err = chat("a\n", "--context", "40", "-n", "100")
    assert code == OK
    assert "cut: the context is full; /clear begins anew" in err
    code, _, err = chat("a\n", "--context", "1000")
    assert code == USER_ERROR
    assert "the context must have at most" in err


def test_what_is_no_text_is_refused(chat):
    code, _, err = chat(b"hello\n\xff\n")
    assert code == USER_ERROR
    assert "Line 2 of standard input must be text in UTF-8, got the byte 0xff" in err


def test_a_closed_standard_input_is_said(arguments, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", None)
    assert run_command(arguments()) == USER_ERROR
    assert "standard input, which is closed" in capsys.readouterr().err


def test_the_answer_grows_above_a_status_line():
    out = io.StringIO()
    console = Console(file=out, width=20, force_terminal=True)
    answer = LiveAnswer(console, lambda: "chip 5 tokens/s")
    pieces = ("one two", " three four five", " six\nseven", "\x1b[2J eight")
    answer.stage("reading the prompt", 1, 3)
    answer.note("A note.")
    for piece in pieces:
        answer.text(piece)
    answer.close()
    shown = out.getvalue()
    assert "reading the prompt" in shown
    assert "\x1b[2J eight" not in shown
    # Replay: each update erases the rows that it replaces.
    screen = _screen(shown)
    rows = [row.rstrip() for row in screen if row.strip()]
    assert rows == ["A note.", "one two three four", "five six", "seven\ufffd[2J eight"]


def _screen(text):
    """Return the rows that a terminal shows after a text with the sequences of a live display."""

    rows, y = [""], 0
    for sequence, plain in re.findall(r"(\x1b\[\??[\d;]*[A-Za-z]|\r|\n)|([^\x1b\r\n]+)", text):
        if plain:
            rows[y] += plain
        elif sequence == "\n":
            y += 1
            rows += [""] * (y == len(rows))
        elif sequence.endswith("K"):
            rows[y] = ""
        elif sequence.endswith("A"):
            y -= int(sequence[2:-1] or 1)
    return rows


class Terminal:
    """A conversation on a pseudo-terminal."""

    def __init__(self, arguments, cache):
        code = f"from rtlm.host.cli.main import main; main({arguments!r})"
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ |= {"TERM": "xterm", "XDG_CACHE_HOME": str(cache)}
            os.execv(sys.executable, [sys.executable, "-c", code])

    def until(self, text, seconds=120, again=""):
        """Read until a text is there, and return what was read; each second in which nothing comes, type something."""
        end, found = time.monotonic() + seconds, ""
        while text not in found:
            assert time.monotonic() < end, found
            if select.select([self.fd], [], [], 1)[0]:
                found += os.read(self.fd, 4096).decode(errors="replace")
            else:
                self.type(again)
        return found

    def type(self, text):
        os.write(self.fd, text.encode())

    def code(self, seconds=120, again=None):
        """Read to the end and return the exit code; each second in which nothing comes, send a signal again."""
        end = time.monotonic() + seconds
        with contextlib.suppress(OSError):
            while True:
                assert time.monotonic() < end
                if select.select([self.fd], [], [], 1)[0]:
                    if not os.read(self.fd, 4096):
                        break
                elif again is not None:
                    os.kill(self.pid, again)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.mark.slow
def test_on_a_terminal(arguments, tmp_path):
    terminal = Terminal(arguments("-n", "400"), tmp_path)
    terminal.until("> ")
    # readline may not be waiting yet when it has written the prompt: what comes before stays until the next key.
    terminal.type("\x03")
    terminal.until("> ", again="\x03")
    terminal.type("hello\r")
    terminal.until("answering 3")
    terminal.type("\x03")
    assert "interrupted; golden model" in terminal.until("> ")
    terminal.type("again\r")
    terminal.until("answering 3")
    terminal.type("\x03")
    assert "in the KV cache before" in terminal.until("> ")
    terminal.type("\x04")
    assert terminal.code() == OK
    history = tmp_path / "rtlm" / "chat" / "history"
    assert history.read_text().splitlines()[-2:] == ["hello", "again"]
    terminal = Terminal(arguments(), tmp_path)
    terminal.until("> ")
    terminal.type("\x1b[A")
    terminal.until("again")
    # As above: readline may have drawn the line and not wait yet.
    os.kill(terminal.pid, signal.SIGTERM)
    assert terminal.code(again=signal.SIGTERM) == INTERRUPTED


@pytest.mark.slow
def test_commands_on_a_terminal(arguments, tmp_path):
    """Figures while an answer comes, the report, its file, and a context that is full."""
    path = tmp_path / "chat.json"
    terminal = Terminal(arguments("-n", "30", "--context", "64"), tmp_path)
    terminal.until("> ")

    def say(text, *expected):
        terminal.type(f"{text}\r")
        shown = terminal.until("> ")
        assert all(part in shown for part in expected), shown

    say(
        "hello",
        "reading the prompt",
        "answering 3/30; golden model, without cycles, ",
        "30 tokens, cut by --max-tokens",
    )
    say("/config", "tiny (", "52 of 64 positions")
    say("/report", "30 generated", "golden on this computer")
    say(f"/save {path}", "The report is in ")
    assert [turn["question"] for turn in json.loads(path.read_text())["turns"]] == ["hello"]
    say("and what is more?", "must fit the context of 64 positions", "begin anew with /clear.")
    say("/clear")
    say("/config", " 0 of 64 positions")
    terminal.type("/quit\r")
    assert terminal.code() == OK
    history = tmp_path / "rtlm" / "chat" / "history"
    assert history.read_text().splitlines()[:2] == ["hello", "/config"]
    assert history.stat().st_mode & 0o077 == 0, "what was said is for its user alone"


@pytest.mark.parametrize(
    ("backend", "speed", "words"),
    [
        ("verilator", {}, ""),
        (
            "verilator",
            {"tokens_per_s": 151.23, "simulated_tokens_per_s": 0.5},
            "chip 151.2 tokens/s at 100 MHz; simulator",
        ),
        ("golden", {"simulated_tokens_per_s": 33.33}, "golden model, without cycles, 33.3 tokens/s"),
    ],
)
def test_speeds_in_words(model, backend, speed, words):
    request = make_request(
        RunOptions(texts=(), chat=True, backend=backend, config="tiny", model=model), SilentProgress()
    )
    said = speeds(types.SimpleNamespace(request=request), Speed(**speed))
    assert said.startswith(words) and bool(said) == bool(words)


@pytest.mark.slow
def test_piped_an_interrupt_ends_the_answer_only(arguments, tmp_path):
    path = tmp_path / "chat.json"
    code = f"from rtlm.host.cli.main import main; main({arguments('-n', '400')!r})"
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as command:
        command.stdin.write(b"hello\n")
        command.stdin.flush()
        command.stdout.read(1)
        command.send_signal(signal.SIGINT)
        _, err = command.communicate(f"/save {path}\n".encode())
    assert command.returncode == OK, err.decode()
    (turn,) = json.loads(path.read_text())["turns"]
    assert turn["ending"] == "interrupted"
    assert 1 <= turn["tokens"] < 400
    assert b"interrupted" in err
