"""What is fitted to synthesis, as ``python benchmarks/area_model.py --fit`` wrote it."""

import json
from functools import cache
from pathlib import Path
from typing import Any

PATH = Path(__file__).with_name("coefficients.json")


@cache
def coefficients() -> dict[str, Any]:
    """Return the coefficients.

    Returns
    -------
    dict[str, Any]
        ``kernels`` and ``units`` of the parametric model, ``netlist`` of the count in `rtlm.gen.rtl.elements`, and
        ``error`` of the parametric model as measured.
    """
    return json.loads(PATH.read_text(encoding="utf-8"))
