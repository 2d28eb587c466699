"""The README's list of supported models is what the readers of model files accept."""

import re
from pathlib import Path

from rtlm.host.models.gguf_file import SUPPORTED_TYPES, VERSIONS
from rtlm.host.models.model import ARCHITECTURE, FLOAT_DTYPES
from rtlm.host.models.tokenizer import PRE_TOKENIZERS

README = Path(__file__).resolve().parents[2] / "README.md"


def test_supported_models():
    section = README.read_text(encoding="utf-8").partition("## Models\n")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| (\w+) \| (.*) \|$", section, re.MULTILINE))

    def names(part):
        return set(re.findall(r"`([^`]+)`", rows[part]))

    assert all(f"{version}" in rows["file"] for version in VERSIONS)
    assert names("architecture") == {ARCHITECTURE}
    assert names("matrices") - {"ffn_gate", "ffn_up"} == {kind.name for kind in SUPPORTED_TYPES}
    assert names("norms") == {kind.name for kind in FLOAT_DTYPES}
    assert names("tokenizer") == {"gpt2", *PRE_TOKENIZERS}
