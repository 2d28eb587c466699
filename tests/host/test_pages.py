"""Generated pages: docs/ is in step with the source, and the memory page says what the packer does."""

import pathlib

import pytest
from rtlm.gen.configuration.load import load_config, preset_names
from rtlm.gen.package.pages import parameter_list
from rtlm.host.compiler.page import largest_map, memory_page
from rtlm.host.pages import GENERATED, generated_page
from rtlm.hw.control.errors import ERROR_MEANINGS
from rtlm.hw.formats import BlockFormat

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("name", GENERATED)
def test_page_is_in_step_with_the_source(name):
    written = (DOCS / name).read_text(encoding="utf-8")
    assert written == generated_page(name), "run: .venv/bin/python -m rtlm.host.pages"


def test_pages_hold_what_there_is():
    pages = {name: generated_page(name) for name in ("registers.md", "parameters.md", "instructions.md")}
    assert all(
        f"| {code.value} | `{code.name}` | {text} |" in pages["registers.md"] for code, text in ERROR_MEANINGS.items()
    )
    assert all(f"`{entry['key']}`" in pages["parameters.md"] for entry in parameter_list(load_config()))
    assert all(format.name in pages["instructions.md"] for format in BlockFormat)


@pytest.mark.parametrize("name", preset_names())
def test_memory_page_of_every_preset(name):
    config = load_config(name)
    page = memory_page(config)
    memory, _ = largest_map(config.to_params())
    last = memory.regions["logits"]
    assert f"| `logits` | logits | {last.start} | {last.words} |" in page
    assert f"{config.to_params().kv.head_words} words in all" in page
