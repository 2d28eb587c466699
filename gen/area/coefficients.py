"""What is fitted to synthesis, as ``python benchmarks/area_model.py --fit`` wrote it."""

import json
from functools import cache
from importlib import resources
from typing import Any

FILE = "coefficients.json"


@cache
def coefficients() -> dict[str, Any]:
    """Return the coefficients.

    Returns
    -------
    dict[str, Any]
        ``kernels`` and ``units`` of the parametric model, ``netlist`` of the count in `rtlm.gen.rtl.elements`, and
        ``error`` of the parametric model as measured.
    """
    return json.loads(resources.files(__package__).joinpath(FILE).read_text(encoding="utf-8"))
