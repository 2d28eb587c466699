"""A sweep's results are of one program: its version is of everything that a point is worked out from."""

import subprocess
import sys

from rtlm.gen.boards.constraints import FOLDER
from rtlm.host.exploration.evaluation import evaluator_files

POINTS = """
import sys
opened = set()
sys.addaudithook(lambda event, values: opened.add(str(values[0])) if event == "open" else None)
from rtlm.gen.configuration.load import load_config
from rtlm.host.estimation.estimate import EstimateRequest, estimate
from rtlm.host.models.paper import open_model
for config in (load_config("kv260"), load_config("kv260", ["matmul.lanes=128"]), load_config("asic")):
    estimate(EstimateRequest(config=config, model=open_model("smollm2-135m"), context=8, prompt=2))
print(*opened, sep=chr(10))
"""
OURS = ("hw/", "gen/", "sim/", "host/", "constraints/")
KNOWN_OTHERWISE = ("host/models/shapes/", "host/estimation/error_band.json")
"""The sizes of models, which are in a point's key, and the error that is stated of all estimates."""


def test_the_version_is_of_all_data_that_points_are_worked_out_from():
    done = subprocess.run([sys.executable, "-c", POINTS], capture_output=True, text=True)
    assert not done.returncode, done.stderr
    project = FOLDER.parent
    data = {name.removeprefix(f"{project}/") for name in done.stdout.splitlines() if name.endswith((".json", ".yaml"))}
    decides = {name for name in data if name.startswith(OURS) and not name.startswith(KNOWN_OTHERWISE)}
    assert {"gen/synthesis/elements.json", "constraints/power-activity.yaml", "host/power/osu018.json"} <= decides
    assert decides <= {path.relative_to(project).as_posix() for _, path in evaluator_files()}
