"""The page on numerics states the bounds that the kernels and functions are checked against."""

import re

from tests.documents import DOCS
from tests.hw.hls.test_functions import BOUND_ULP
from tests.hw.kernels.references import REFERENCES


def test_numerics_page_states_the_bounds():
    page = (DOCS / "numerics.md").read_text(encoding="utf-8").partition("\n## Error bounds\n")[2]
    rows = [(name, reference.bound.replace("**", "^").replace("|", "\\|")) for name, reference in REFERENCES.items()]
    assert page.partition("| kernel | bound |\n| --- | --- |\n")[2].splitlines() == [
        f"| `{name}` | {bound} |" for name, bound in rows
    ]
    stated = dict(re.findall(r"^\| `(\w+)` \| ([\d.]+)", page, re.MULTILINE))
    assert all(stated[name] == f"{BOUND_ULP[name]}" for name in ("exp2", "recip", "rsqrt"))
