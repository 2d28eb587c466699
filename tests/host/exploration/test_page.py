"""docs/sweeps.md: its commands print what it says, and its words are those of the program."""

import pytest
from rtlm.host.exploration.metrics import METRICS
from rtlm.host.exploration.space import METHODS, SpaceFile
from rtlm.host.pages import CONSOLE, DOCS, EXAMPLE_PAGES, PROMPT, with_outputs


def page() -> str:
    return (DOCS / "sweeps.md").read_text(encoding="utf-8")


def test_every_command_is_run():
    assert "sweeps.md" in EXAMPLE_PAGES
    assert page().count(PROMPT) == len(CONSOLE.findall(page())) == 2


@pytest.mark.slow
def test_page_holds_what_the_commands_print():
    assert page() == with_outputs(page()), "run: .venv/bin/python -m rtlm.host.pages --examples"


def test_every_key_metric_and_method_is_described():
    for name in (*SpaceFile.model_fields, *METRICS, *METHODS):
        assert f"`{name}`" in page(), name
