"""docs/sweeps.md: its commands print what it says, and its words are those of the program."""

import pytest
from rtlm.host.exploration.metrics import METRICS
from rtlm.host.exploration.space import METHODS, SpaceFile

from tests.documents import CONSOLE, DOCS, PROMPT, with_outputs


def page() -> str:
    return (DOCS / "sweeps.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_page_holds_what_the_commands_print(tmp_path):
    assert page().count(PROMPT) == len(CONSOLE.findall(page())) == 2
    assert page() == with_outputs(page(), tmp_path), "run: python -m tests.documents sweeps.md"


def test_every_key_metric_and_method_is_described():
    for name in (*SpaceFile.model_fields, *METRICS, *METHODS):
        assert f"`{name}`" in page(), name
