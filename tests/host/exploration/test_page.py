"""docs/sweeps.md: its commands are run and compared, and its words are those of the program."""

from rtlm.host.exploration.metrics import METRICS
from rtlm.host.exploration.space import METHODS, SpaceFile
from rtlm.host.pages import CONSOLE, DOCS, EXAMPLE_PAGES, PROMPT


def page() -> str:
    return (DOCS / "sweeps.md").read_text(encoding="utf-8")


def test_every_command_is_run():
    assert "sweeps.md" in EXAMPLE_PAGES
    assert page().count(PROMPT) == len(CONSOLE.findall(page())) == 2


def test_every_key_metric_and_method_is_described():
    for name in (*SpaceFile.model_fields, *METRICS, *METHODS):
        assert f"`{name}`" in page(), name
