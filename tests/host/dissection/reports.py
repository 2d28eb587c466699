"""Reports to take apart: of made-up measurements, and of an estimate."""

import json
from functools import cache
from typing import Any

from rtlm.gen.configuration.load import load_config
from rtlm.host.dissection.micro import Dissection, dissect
from rtlm.host.dissection.report_file import ReportFile
from rtlm.host.estimation.estimate import EstimateRequest, estimate
from rtlm.host.models.paper import open_model
from rtlm.host.reports.report import make_report

from tests.host.reports.report_sample import sample


def run_report(**changes: Any) -> dict[str, Any]:
    """Return the JSON of a run on ``kv260``: 64 bytes a cycle, of which a linear stream reaches 95 %."""
    config = load_config("kv260").model_dump(mode="json")
    return json.loads(make_report(sample(**{"config": config, **changes})).dumps())


@cache
def estimated() -> Dissection:
    """Return an estimate taken apart: a small model on eight columns."""
    request = EstimateRequest(
        config=load_config("kv260", ["matmul.columns=8"]), model=open_model("smollm2-135m"), batch=8, prompt=16
    )
    return dissect(ReportFile.parse(json.loads(json.dumps(estimate(request).to_json())), "the estimate"))
