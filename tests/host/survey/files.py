"""Tables and reports for tests, with round numbers."""

import csv
import io
import json

from rtlm.host.reports.report import make_report
from rtlm.host.survey.row import COLUMNS

from tests.host.reports.report_sample import sample

ROW = {
    "id": "made-up",
    "work": "Made up",
    "platform": "FPGA",
    "chip": "a board",
    "year": "2024",
    "model": "made-up-7B",
    "parameters_b": "7",
    "batch": "1",
    "context": "",
    "format": "",
    "method": "quantisation; sparsity",
    "tokens_per_s": "50",
    "power_w": "25",
    "power_boundary": "plug",
    "kind": "measured",
    "source": "a test",
    "note": "",
}


def table_text(*rows: dict[str, str], columns=COLUMNS) -> str:
    """Return rows, each `ROW` with changes, as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(ROW | row for row in rows)
    return text.getvalue()


def report(**changes) -> dict:
    """Return the report of the made-up run as `rtlm run --json` writes it, with changes of its outermost keys."""
    return json.loads(make_report(sample()).dumps()) | changes
