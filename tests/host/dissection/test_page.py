"""docs/dissection.md: its commands are among those that are run and compared (tests/host/test_site_pages.py)."""

from rtlm.host.pages import CONSOLE, DOCS, EXAMPLE_PAGES, PROMPT, with_outputs


def test_every_command_is_run():
    page = (DOCS / "dissection.md").read_text(encoding="utf-8")
    assert "dissection.md" in EXAMPLE_PAGES
    commands = [line for block in CONSOLE.findall(page) for line in block.splitlines() if line.startswith(PROMPT)]
    assert len(commands) == page.count(PROMPT) == 5


def test_outputs_are_put_behind_their_commands(tmp_path):
    page = "Text\n```console\n$ rtlm show --help\nstale\n$ rtlm dissect --help\n```\nmore $ rtlm text\n"
    found = with_outputs(page)
    assert found.startswith("Text\n```console\n$ rtlm show --help\nUsage: rtlm show")
    assert "stale" not in found
    assert "\n$ rtlm dissect --help\nUsage: rtlm dissect" in found
    assert found.endswith("\n```\nmore $ rtlm text\n")
