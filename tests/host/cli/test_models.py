"""Models by name on the command line: licences, downloads, and configurations for a model."""

import io
import json
import sys
import types

import pytest
import yaml
from gguf import GGMLQuantizationType as Type
from rtlm.gen.common.errors import INTERRUPTED, OK, USER_ERROR
from rtlm.gen.configuration.load import load_config, preset_names
from rtlm.gen.package import handover
from rtlm.gen.package.folder import Package
from rtlm.host.cli import main as cli
from rtlm.host.models import download
from rtlm.host.models.sources import GEMMA3_270M, NAMED
from rtlm.host.reports.report import make_report

from tests.host.reports.report_sample import sample
from tests.host.small_models import SIZES

TERMS = "fetched under the Gemma Terms of Use: https://ai.google.dev/gemma/terms"
ACCEPT = ["--accept-licence", "gemma"]


class Terminal(io.StringIO):
    """Standard input on which somebody types."""

    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "rtlm" / "models"


@pytest.fixture
def session(monkeypatch):
    """Stand in for the session: remember the options."""
    seen = types.SimpleNamespace(options=None)

    def run(options, progress):
        seen.options = options
        return make_report(sample())

    monkeypatch.setitem(sys.modules, "rtlm.host.session", types.SimpleNamespace(run=run))
    return seen


@pytest.fixture
def terminal(monkeypatch):
    """Let a terminal answer."""

    def answer(text):
        monkeypatch.setattr(sys, "stdin", Terminal(text))
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)

    return answer


@pytest.fixture(scope="module")
def qwen2(random_model):
    """A model that needs a wide configuration, biases and a format."""
    return random_model(**SIZES | {"architecture": "qwen2", "dim": 256, "matrix_type": Type.Q5_0})


@pytest.fixture
def fetched(monkeypatch, qwen2):
    """Stand in for the download: give a small model for any name, remember what was asked for."""
    seen = []

    def fetch(source, directory=None, progress=None, *, licences=()):
        seen.append((source, tuple(licences)))
        return qwen2

    monkeypatch.setattr(download, "fetch", fetch)
    return seen


def run(*arguments):
    return cli.run_command(["run", "--prompt", "Hi", "--quiet", *arguments])


def test_without_a_terminal_a_licence_needs_its_option(session, capsys):
    assert run("--model", "gemma3-270m") == USER_ERROR
    err = capsys.readouterr().err
    assert TERMS in err and "only if you accept its licence: --accept-licence gemma." in err
    assert session.options is None
    assert run("--model", "gemma3-270m", *ACCEPT) == OK
    assert TERMS in capsys.readouterr().err
    assert (session.options.model, session.options.licences) == ("gemma3-270m", ("gemma",))


@pytest.mark.parametrize(("typed", "code"), [("y\n", OK), ("n\n", USER_ERROR), ("\n", USER_ERROR), ("", INTERRUPTED)])
def test_a_terminal_is_asked(session, terminal, capsys, typed, code):
    terminal(typed)
    assert run("--model", "gemma3-270m") == code
    err = capsys.readouterr().err
    assert err.index(TERMS) < err.index("Do you accept these terms? [y/N]")
    assert (session.options is not None) == (code == OK)
    if code == OK:
        assert session.options.licences == ("gemma",)


def test_what_is_there_or_free_needs_no_answer(session, cache, capsys):
    for model in ([], ["--model", "smollm2-135m-instruct"], ["--model", "mine.gguf"]):
        assert run(*model) == OK
    cache.mkdir(parents=True)
    with (cache / GEMMA3_270M.name).open("wb") as file:
        file.truncate(GEMMA3_270M.size)
    assert run("--model", "gemma3-270m") == OK
    assert "fetched" not in capsys.readouterr().err


def test_a_name_that_is_none_lists_those_that_are(session, capsys):
    assert run("--model", "gemma") == USER_ERROR
    assert f"there is no model 'gemma': a model is the path of a GGUF file or one of the names {', '.join(NAMED)}" in (
        capsys.readouterr().err
    )
    for command in ("run", "chat", "estimate", "show"):
        assert cli.run_command([command, "--help"]) == OK
        text = " ".join(capsys.readouterr().out.split())
        assert all(name in text for name in NAMED)


@pytest.mark.parametrize(
    "command",
    [
        ["estimate", "--config", "tiny", "--context", "8", "--prompt", "8", "--model"],
        ["dissect", "--config", "tiny", "--context", "8", "--prompt", "8", "--model"],
        ["list", "presets", "--for"],
        ["show", "tiny", "--for"],
        ["generate", "accelerator", "--config", "tiny", "-o", "rtl", "--for"],
        ["image", "-o", "image", "--config", "fitted.yaml"],
    ],
    ids=lambda command: command[0],
)
def test_every_command_with_a_model_fetches_it(command, fetched, qwen2, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        handover,
        "accelerator_package",
        lambda config, documents, progress, prefix: Package(name=config.name, texts=documents),
    )
    assert cli.run_command(["show", "tiny", "--for", str(qwen2)]) == OK
    (tmp_path / "fitted.yaml").write_text(capsys.readouterr().out)
    assert cli.run_command([*command, "gemma3-270m"]) == USER_ERROR
    assert "--accept-licence gemma" in capsys.readouterr().err and not fetched
    assert cli.run_command([*command, "gemma3-270m", *ACCEPT]) == OK
    assert fetched == [(GEMMA3_270M, ("gemma",))]


def test_a_configuration_for_a_model(qwen2, tmp_path, capsys):
    assert cli.run_command(["show", "tiny", "--for", str(qwen2), "--context", "300"]) == OK
    out, err = capsys.readouterr()
    (tmp_path / "mine.yaml").write_text(out)
    changes = "limits.dim=256 attention.head_dim=64 attention.context_limit=304 vector.biases=true"
    assert f"tiny was changed to hold {qwen2.stem}: {changes} matmul.formats=[q4_0,q4_1,q8_0,q5_0]." in err
    mine = load_config(tmp_path / "mine.yaml")
    assert mine == load_config("tiny", [*changes.split(), "matmul.formats=[q4_0,q4_1,q8_0,q5_0]"])
    assert cli.run_command(["show", "tiny", "--context", "300"]) == USER_ERROR
    assert "--context 300 needs --for MODEL" in capsys.readouterr().err


def test_each_preset_says_what_it_lacks(qwen2, capsys):
    assert cli.run_command(["list", "presets", "--for", str(qwen2)]) == OK
    text = capsys.readouterr().out
    assert "  kv260                 does not hold it as it is: " in text
    assert "vector.biases            false, true needed\n" in text
    assert "matmul.formats           q4_0,q4_1,q8_0, q4_0,q4_1,q8_0,q5_0 needed\n" in text
    assert "limits.dim               128, 256 needed\n" in text
    assert "--set vector.biases=true --set 'matmul.formats=[q4_0,q4_1,q8_0,q5_0]'\n" in text
    assert cli.run_command(["list", "presets", "--for", str(qwen2), "--json"]) == OK
    fits = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert set(fits) == set(preset_names())
    tiny = fits["tiny"]
    assert tiny["lacks"]["attention.head_dim"] == {"has": 32, "needed": 64} and not tiny["holds"]
    assert "limits.dim" not in fits["kv260"]["lacks"]
    overrides = [option for option in tiny["options"].replace("'", "").split() if option != "--set"]
    assert cli.run_command(["show", "tiny", *(f"--set={each}" for each in overrides), "--for", str(qwen2)]) == OK
    out, err = capsys.readouterr()
    assert "holds" in err and "as it is" in err and yaml.safe_load(out)["vector"]["biases"] is True


def test_what_no_change_makes_hold_is_said(random_model, capsys):
    assert cli.run_command(["list", "presets", "--for", str(random_model(**SIZES))]) == OK
    assert "  tiny                  holds it: " in capsys.readouterr().out
    assert cli.run_command(["list", "presets", "--for", "llama-2-70b"]) == OK
    text = capsys.readouterr().out
    assert "to change that is not enough: " in text and "memory                   4,294,967,296 bytes, " in text
    assert cli.run_command(["list", "presets", "--for", "gpt2-345m"]) == OK
    assert "The accelerator lacks what this model has: " in capsys.readouterr().err
    assert cli.run_command(["list", "units", "--for", "llama-2-7b"]) == USER_ERROR
    assert "rtlm list presets --for MODEL" in capsys.readouterr().err


def test_an_image_names_what_would_hold_the_model(qwen2, tmp_path, capsys):
    assert cli.run_command(["image", str(qwen2), "--config", "tiny", "-o", str(tmp_path / "x")]) == USER_ERROR
    err = capsys.readouterr().err
    assert "the model's dim must be at most 128 for configuration tiny, got 256; it holds the model with" in err
    assert "--set limits.dim=256 --set attention.head_dim=64 --set vector.biases=true --set 'matmul.formats=" in err
