"""docs/serve.md runs as it stands, with a small model in place of the real one."""

import json
import re
import shlex
import shutil
import subprocess
import urllib.request

import pytest
from rtlm.gen.common.errors import OK
from rtlm.host.cli.main import run_command
from rtlm.host.models.sources import DEFAULT_MODEL
from rtlm.host.serving import app
from rtlm.host.serving import server as serving
from rtlm.host.serving.fields import MAX_STOP_CHARACTERS, MAX_STOPS, ChatFields, CompletionFields

from tests.documents import DOCS, run_page, shell_commands

PAGE = "serve.md"
TEXT = (DOCS / PAGE).read_text(encoding="utf-8")
COMMANDS = shell_commands(DOCS / PAGE)
STARTS = [line for line in COMMANDS if line.startswith("rtlm serve")]
CURLS = [line for line in COMMANDS if line.startswith("curl ")]


def test_there_are_no_other_commands():
    assert sorted(STARTS + CURLS) == sorted(COMMANDS)
    assert len(STARTS) >= 3 and len(CURLS) >= 4


@pytest.mark.parametrize("line", STARTS)
def test_servers_start(line, model, monkeypatch, capsys):
    """They end as soon as they could answer."""
    original = serving.serve
    monkeypatch.setattr(
        serving, "serve", lambda *given, **how: original(*given, **how, on_service=lambda service: service.end())
    )
    small = ["--backend", "golden", "--config", "tiny", "--model", str(model), "--port", "0"]
    assert run_command([*shlex.split(line)[1:], *small]) == OK
    assert "Serving random at http://127.0.0.1:" in capsys.readouterr().out


@pytest.mark.parametrize("line", CURLS)
def test_requests_are_answered(server, line):
    """Sent from here, as not every machine has curl."""
    program, url, *options = shlex.split(here(server, line))
    values = dict(zip(options[::2], options[1::2], strict=True))
    headers = dict([values["-H"].split(": ")]) if "-H" in values else {}
    request = urllib.request.Request(url, values["-d"].encode() if "-d" in values else None, headers)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as response:
        assert response.status == 200
        found = json.load(response)
    assert program == "curl" and values.keys() <= {"-H", "-d"}
    if "-d" in values:
        assert found["usage"]["completion_tokens"] == json.loads(values["-d"])["max_tokens"]


@pytest.mark.parametrize("line", CURLS)
def test_curl(server, line):
    if not shutil.which("curl"):
        pytest.skip("this machine has no curl; test_requests_are_answered sends the same")
    command = ["curl", "--silent", "--fail", "--noproxy", "*", *shlex.split(here(server, line))[1:]]
    assert json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


def test_the_client(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    names = run_page(PAGE, tmp_path, lambda text: here(server, text.replace(DEFAULT_MODEL, "random")))
    names["client"].close()
    assert names["answer"].choices[0].message.content in capsys.readouterr().out
    assert names["kept"] >= names["answer"].usage.prompt_tokens
    assert names["chunk"].rtlm["wall_s"] > 0


def here(server, text):
    """Return a text with the address of this server."""
    return text.replace("http://127.0.0.1:8000/v1", server.url).replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")


def test_fields_and_limits_are_those_of_the_source():
    rows = re.findall(r"^\| (`.*?) \|", TEXT.partition("## What a request")[2].partition("\n## ")[0], re.MULTILINE)
    named = {name.partition(".")[0] for row in rows for name in re.findall(r"`([\w.]+)`", row)}
    assert named == ChatFields.model_fields.keys() | CompletionFields.model_fields.keys()
    assert f"{app.MAX_BODY_BYTES >> 20} MiB" in TEXT and f"longer than {app.BODY_SECONDS} s" in TEXT
    assert f"At {serving.MAX_CONNECTIONS} open connections" in TEXT
    assert MAX_STOPS == 4 and f"up to four texts of at most {MAX_STOP_CHARACTERS} characters" in TEXT


def test_codes_are_those_of_the_source():
    source = "".join(path.read_text(encoding="utf-8") for path in (DOCS.parent / "host/serving").glob("*.py"))
    codes = set(re.findall(r'code="(\w+)"', source)) | set(re.findall(r'"(\w+_(?:parameter|value|allowed))"', source))
    codes |= {"not_found", "method_not_allowed"}
    section = TEXT.partition("## Limits and errors")[2].partition("\n## ")[0]
    named = {
        code
        for cells in re.findall(r"^\| \d+ \| (.*?) \|", section, re.MULTILINE)
        for code in re.findall(r"`(\w+)`", cells)
    }
    assert named == codes
