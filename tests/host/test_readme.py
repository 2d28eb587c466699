"""The README's list of supported models, and the page on families and tokenizers, say what readers of files accept."""

import re
from pathlib import Path

from rtlm.host.families import BY_ARCHITECTURE
from rtlm.host.models.gguf_file import SUPPORTED_TYPES, VERSIONS
from rtlm.host.models.model import FLOAT_DTYPES
from rtlm.host.models.pre_tokenizers import PRE_TOKENIZERS
from rtlm.host.models.sources import NAMED
from rtlm.host.models.tokenizer import ALGORITHMS

from tests.host.families import VARIANTS

ROOT = Path(__file__).resolve().parents[2]
README, FAMILIES = ROOT / "README.md", ROOT / "docs" / "families.md"
RUNNING = {name for name, family in BY_ARCHITECTURE.items() if not family.missing}


def test_supported_models():
    section = README.read_text(encoding="utf-8").partition("## Models\n")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| (\w+) \| (.*) \|$", section, re.MULTILINE))

    def names(part):
        return set(re.findall(r"`([^`]+)`", rows[part]))

    assert all(f"{version}" in rows["file"] for version in VERSIONS)
    assert names("architecture") == RUNNING
    assert names("matrices") - {"ffn_gate", "ffn_up"} == {kind.name for kind in SUPPORTED_TYPES}
    assert names("norms") == {kind.name for kind in FLOAT_DTYPES}
    assert names("tokenizer") == set(ALGORITHMS) and f"{len(PRE_TOKENIZERS)} pre-tokenizers" in rows["tokenizer"]


def test_models_that_are_fetched():
    section = README.read_text(encoding="utf-8").partition("## Models\n")[2].partition("\n## ")[0]
    rows = {
        name: cells.split(" | ") for name, cells in re.findall(r"^\| `([\w-]+)` \| (.*) \|$", section, re.MULTILINE)
    }
    assert rows.keys() == NAMED.keys()
    for name, source in NAMED.items():
        _, size, licence = rows[name]
        assert size == f"{sum(wheel.size for wheel in source.wheels) / 1e6:.0f} MB"
        assert source.licence is None or licence == f"[{source.licence.name}]({source.licence.address})"


def test_families_and_tokenizers():
    families, _, tokenizers = FAMILIES.read_text(encoding="utf-8").partition("\n## Tokenizers\n")

    def rows(text):
        found = re.findall(r"^\| `(\w+)` \| (.*) \|$", text, re.MULTILINE)
        return {name: set(re.findall(r"`([^`]+)`", cells)) for name, cells in found}

    assert rows(families).keys() == RUNNING and set().union(*rows(families).values()) == set(VARIANTS)
    assert rows(tokenizers).keys() == set(ALGORITHMS)
    assert rows(tokenizers)["gpt2"] - {"tokenizers", "tokenizer.ggml.pre"} == set(PRE_TOKENIZERS)
