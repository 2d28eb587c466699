"""Tour, guides and the other written pages of the site: their commands run, and say what the pages say."""

import contextlib
import re
import shlex
import xml.etree.ElementTree as ElementTree

import click
import pytest
from rtlm.gen.common.errors import OK
from rtlm.host.cli.main import run_command
from rtlm.host.pages import DOCS, EXAMPLE_PAGES, GENERATED, NAMED_FILE, PROMPT, printed, with_outputs

from tests.documents import shell_commands
from tests.host.cli.parsing import make_files, parse

ROOT = DOCS.parent
PAGES = ("tour.md", "own-model.md", "own-board.md", "memory-wall.md", "results.md")
CODE = re.compile(r"`(rtlm [^`]+)`")
NOT_RUN = {
    "run": "simulates for minutes; the tests of whole runs do so, and docs/dissection.md with one of them",
    "chat": "simulates; tests/host/cli/test_chat.py",
    "synth": "minutes; tests/gen/synthesis",
    "generate": "the whole accelerator takes half a minute; tests/gen/package/test_handover.py",
    "convert": "needs a folder of weights; tests/host/conversion/test_convert.py",
    "image": "needs a file of weights; tests/host/cli/test_image.py",
    "doctor": "asks tools for their versions; tests/host/cli/test_cli.py",
    "prove": "minutes; tests/sim/proofs",
    "selftest": "tests/test_selftest.py",
    "bitstream": "tests/test_linked.py",
}
"""Commands whose lines in blocks of `sh` are only parsed here, and what runs them."""
GENERATED_WITH_ANSWERS = ("comparison.md", "estimates.md")
"""Pages whose commands `rtlm.host.pages` runs whenever it makes them; tests/host/test_pages.py compares."""
TESTED_APART = {"timeline.md": "tests/host/reports/test_timeline.py runs its commands on a small accelerator"}
"""Pages whose commands nothing compares, and what runs them."""


def text_of(name):
    return (DOCS / name).read_text(encoding="utf-8")


def words_of(line):
    """Return the arguments of a line that begins with rtlm, without comment, pipe and redirection."""
    words = shlex.split(line, comments=True)
    ends = [words.index(sign) for sign in ("|", ">") if sign in words]
    return words[1 : min(ends, default=len(words))]


def rtlm_commands(page):
    """Return the arguments of each call of rtlm in the shell blocks of a page."""
    calls = (call.strip().removeprefix(".venv/bin/") for line in shell_commands(page) for call in line.split("&&"))
    return [words_of(call) for call in calls if call.startswith("rtlm ")]


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted(DOCS.glob("*.md"))], ids=lambda page: page.name)
def test_commands_exist_with_their_options(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words in rtlm_commands(page):
        make_files(words)
        parse(words)


def test_a_wrong_option_is_noticed():
    with pytest.raises(click.UsageError):
        parse(["run", "--no-such-option"])
    with pytest.raises(click.UsageError):
        parse(["no-such-command"])


@pytest.mark.parametrize("name", PAGES)
def test_commands_in_text_exist(name, tmp_path, monkeypatch):
    """They may leave out what a command cannot do without."""
    monkeypatch.chdir(tmp_path)
    for line in CODE.findall(text_of(name)):
        words = words_of(line.replace(" COMMAND", " run"))
        make_files(words)
        with contextlib.suppress(click.MissingParameter):
            parse(words)


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_every_quick_command_runs(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for file, text in NAMED_FILE.findall(text_of(name)):
        (tmp_path / file).write_text(text, encoding="utf-8")
    for words in rtlm_commands(DOCS / name):
        if words[0] not in NOT_RUN:
            assert run_command(words) == OK, words
    capsys.readouterr()


def test_excerpt_is_what_the_command_prints():
    page = text_of("own-model.md")
    lines = printed("list presets --for smollm2-360m").splitlines()
    excerpt = page.partition("```text\n")[2].partition("```")[0].splitlines()
    assert len(excerpt) > 3 and set(excerpt) <= set(lines)


def test_a_command_that_fails_leaves_the_page_as_it_was(capsys):
    with pytest.raises(click.ClickException, match=r"rtlm sweep no-such\.yaml ended with exit code [1-9]"):
        with_outputs("```console\n$ rtlm sweep no-such.yaml\nan answer\n```\n")
    capsys.readouterr()


def test_every_command_with_an_answer_has_a_test():
    pages = {path.name for path in DOCS.glob("*.md") if PROMPT in path.read_text(encoding="utf-8")}
    assert pages == {*EXAMPLE_PAGES, *GENERATED_WITH_ANSWERS, *TESTED_APART}
    assert set(GENERATED_WITH_ANSWERS) <= GENERATED.keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLE_PAGES)
def test_pages_hold_what_the_commands_print(name):
    assert text_of(name) == with_outputs(text_of(name)), "run: .venv/bin/python -m rtlm.host.pages --examples"


def test_the_picture_is_of_the_tour_s_command():
    picture = "".join(ElementTree.parse(DOCS / "pictures" / "session.svg").getroot().itertext())
    command = re.search(r"^rtlm run .*$", text_of("tour.md"), re.MULTILINE)[0]
    assert f"$ {command}" in picture.replace("\N{NO-BREAK SPACE}", " ")
