"""``rtlm sweep`` on the command line: what it prints and writes, what it refuses, and how it ends."""

import csv
import json
import sqlite3
import types
import xml.etree.ElementTree as ElementTree

import pytest
import yaml
from rtlm.gen.common.errors import INTERRUPTED, NEGATIVE, OK, USER_ERROR
from rtlm.host.cli.main import run_command
from rtlm.host.exploration import local_workers, store, survivors
from rtlm.host.exploration.metrics import RESOURCES

from tests.host.exploration.toy import InProcess

SPACE = {
    "models": ["smollm2-135m"],
    "contexts": [128],
    "set": {"matmul.lanes": [32, 64, 128], "vector.lanes": [2, 4], "memory.ports": [2, 4]},
    "objectives": {"tokens_per_s": "max", "lut": "min"},
}
"""Twelve points, half of them with more vector lanes than the array allows."""


@pytest.fixture(autouse=True)
def in_process(monkeypatch):
    monkeypatch.setattr(local_workers, "LocalWorkers", lambda count: InProcess())


def space_file(folder, **changes):
    path = folder / "space.yaml"
    path.write_text(yaml.safe_dump(SPACE | changes, sort_keys=False))
    return path


def sweep(path, *arguments, code=OK):
    assert run_command(["sweep", str(path), *arguments]) == code


def test_a_sweep_prints_the_front_and_writes_what_is_asked_for(tmp_path, capsys):
    path = space_file(tmp_path)
    files = {name: str(tmp_path / f"front.{name}") for name in ("svg", "json", "csv")}
    sweep(path, "--plot", files["svg"], "--json", files["json"], "--csv", files["csv"])
    out, err = capsys.readouterr()
    assert out.startswith("Pareto front, ")
    assert "12 of 12 points: 6 meet the constraints, 6 have no figures" in out
    assert "the first without figures: vector.lanes = 4 is more than half" in out
    assert "computed 12 in " in err

    found = json.loads((tmp_path / "front.json").read_text())
    assert found["points"] == {
        "proposed": 12,
        "seen": 12,
        "refused": 6,
        "violated": {},
        "feasible": 6,
        "complete": True,
    }
    speeds = [each["metrics"]["tokens_per_s"] for each in found["front"]]
    sizes = [each["metrics"]["lut"] for each in found["front"]]
    assert speeds == sorted(speeds, reverse=True) and sizes == sorted(sizes, reverse=True)
    with open(files["csv"], newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    best = max((row for row in rows if row["feasible"] == "1"), key=lambda row: float(row["tokens_per_s"]))
    assert best["front"] == "1" and float(best["tokens_per_s"]) == speeds[0]
    assert sum(row["front"] == "1" for row in rows) == len(speeds)
    assert sum("vector.lanes = 4" in row["refused"] for row in rows) == 6
    texts = "".join(ElementTree.parse(files["svg"]).getroot().itertext())
    assert "tokens/s, more is better" in texts and f"Pareto front ({len(speeds)})" in texts

    before = {name: (tmp_path / f"front.{name}").read_bytes() for name in files}
    sweep(path, "--plot", files["svg"], "--json", files["json"], "--csv", files["csv"])
    assert "computed 0, 12 were in" in capsys.readouterr().err
    assert before == {name: (tmp_path / f"front.{name}").read_bytes() for name in files}


def test_the_figures_are_those_of_rtlm_estimate(tmp_path):
    from rtlm.gen.configuration.load import load_config
    from rtlm.host.estimation.estimate import EstimateRequest, estimate
    from rtlm.host.models.paper import open_model

    sweep(space_file(tmp_path, set={"matmul.lanes": [64]}), "--json", str(tmp_path / "a.json"), "-q")
    (point,) = json.loads((tmp_path / "a.json").read_text())["front"]
    config = load_config("kv260", ["matmul.lanes=64"])
    expected = estimate(EstimateRequest(config=config, model=open_model("smollm2-135m"), context=128))
    metrics = point["metrics"]
    assert metrics["cycles_per_token"] == expected.performance.cycles_per_token
    assert metrics["tokens_per_j"] == expected.power.tokens_per_j
    assert metrics["lut"] == expected.area.luts
    assert metrics["area"] == max(
        metrics[name] / there
        for name, there in {"lut": 117_120, "ff": 234_240, "dsp": 1_248, "bram": 144, "uram": 64}.items()
    )


@pytest.mark.parametrize(
    ("changes", "arguments", "sentence"),
    [
        ({"models": []}, (), "models must have at least 1 value, got none."),
        ({"set": {"matmul.lane": [64]}}, (), "matmul.lane is not a key: matmul has lanes"),
        ({"models": ["gpt-9"]}, (), "there is no model 'gpt-9'"),
        ({"objectives": {"tokens_per_s": "max"}}, ("--plot", "x.svg"), "--plot draws two objectives"),
        ({}, ("--plot", "x.pdf"), "--plot must end in .svg or .png, got x.pdf."),
        ({}, ("--store", "/proc/x.sqlite"), "--store /proc/x.sqlite cannot be written"),
        ({}, ("--workers", "0"), "--workers must be a whole number, between 1 and 256, got 0."),
        ({"method": "nsga2", "points": 9, "contexts": [1, 2]}, (), "nsga2 seeks the best points of one context, got 2"),
    ],
)
def test_mistakes_are_sentences_before_anything_is_computed(tmp_path, capsys, changes, arguments, sentence):
    sweep(space_file(tmp_path, **changes), *arguments, code=USER_ERROR)
    assert sentence in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "space.sqlite").exists()


def test_a_constraint_that_nothing_meets_is_a_negative_result(tmp_path, capsys):
    sweep(space_file(tmp_path, constraints={"tokens_per_s": {"at_least": 1e6}}), code=NEGATIVE)
    out, err = capsys.readouterr()
    assert "No point meets the constraints: of 12, 6 violate tokens_per_s and 6 have no figures." in err
    assert "12 of 12 points: 0 meet the constraints" in out
    sweep(space_file(tmp_path, set={"vector.lanes": [32]}), code=NEGATIVE)
    assert "No point has figures; the first: vector.lanes = 32 is more than half" in capsys.readouterr().err


def test_an_interrupted_sweep_prints_what_it_has_and_goes_on(tmp_path, capsys, monkeypatch):
    class Interrupted(InProcess):
        def run(self, function, tasks):
            for number, task in enumerate(tasks):
                if number == 5:
                    raise KeyboardInterrupt
                yield task, function(task)

    path = space_file(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(local_workers, "LocalWorkers", lambda count: Interrupted())
        sweep(path, "--json", str(tmp_path / "a.json"), code=INTERRUPTED)
    out, err = capsys.readouterr()
    assert "Interrupted; the same command goes on: 5 of 12 points are there." in err
    assert "Pareto front" in out and "computed 5 in" in err
    assert json.loads((tmp_path / "a.json").read_text())["points"]["complete"] is False
    sweep(path, "--limit", "3")
    assert "not complete: 8 of 12 points are there" in capsys.readouterr().out
    sweep(path)
    assert "computed 4 in" in capsys.readouterr().err


def test_a_full_disk_is_a_sentence_and_the_next_run_goes_on(tmp_path, capsys, monkeypatch):
    path = space_file(tmp_path)
    put, calls = store.Store.put, []

    def full(self, kind, results):
        calls.append(kind)
        if len(calls) == 5:
            pages = self._database.execute("PRAGMA page_count").fetchone()[0]
            self._database.execute(f"PRAGMA max_page_count = {pages}")
            results = [(f"{key}{n}", point, text * 50) for key, point, text in results for n in range(50)]
        put(self, kind, results)

    with monkeypatch.context() as patch:
        patch.setattr(store.Store, "put", full)
        sweep(path, code=USER_ERROR)
    assert "the disk is full; every result before is stored, and the same command goes on" in capsys.readouterr().err
    with sqlite3.connect(tmp_path / "space.sqlite") as database:
        assert database.execute("SELECT count(*) FROM result").fetchone() == (4,)
    database.close()
    sweep(path)
    assert "computed 8 in" in capsys.readouterr().err


def test_checks_stand_beside_the_estimates(tmp_path, capsys, monkeypatch):
    asked = []

    def simulated(survivor):
        asked.append(survivor.key)
        return {"what": "all of it", "cycles": 2_000_000, "estimated_cycles": 1_990_000.0, "error": -0.005}

    def synthesised(survivor):
        return {"target": "xilinx-us+", "lut": 50_000, "ff": 40_000, "dsp": 200, "bram": 30, "uram": 0}

    monkeypatch.setattr(survivors, "_simulate", simulated)
    monkeypatch.setattr(survivors, "_synthesise", synthesised)
    path = space_file(tmp_path)
    sweep(path, "--simulate", "2", "--synthesise", "1", "--plot", str(tmp_path / "a.svg"), "--csv", str(tmp_path / "c"))
    out = capsys.readouterr().out
    assert out.count("simulated smollm2-135m q4_0 on kv260") == 2 == len(set(asked))
    assert "all of it: 2,000,000 cycles in RTL, 1,990,000 estimated (-0.50%)" in out
    assert out.count("synthesised smollm2-135m q4_0 on kv260") == 1
    assert "URAM 0 (none)" in out and "checked in RTL (2)" in (tmp_path / "a.svg").read_text()
    with open(tmp_path / "c", newline="") as file:
        assert sorted(row["rtl_cycles"] for row in csv.DictReader(file))[-2:] == ["2000000"] * 2
    sweep(path, "--simulate", "2")
    assert len(asked) == 2  # they are in the store


@pytest.mark.slow
def test_a_point_of_a_front_is_simulated(tmp_path, capsys):
    path = space_file(
        tmp_path, configs=["tiny"], models=["smollm2-135m"], set={"limits.vocabulary": [49152]}, contexts=[20]
    )
    sweep(path, "--simulate", "1", "--json", str(tmp_path / "a.json"))
    assert "2 layers of smollm2-135m, random weights in Q4_0" in capsys.readouterr().out
    (point,) = json.loads((tmp_path / "a.json").read_text())["front"]
    found = point["simulation"]
    assert abs(found["error"]) < 0.03
    assert found["error"] == found["estimated_cycles"] / found["cycles"] - 1


def test_what_is_synthesised_is_the_fitted_accelerator_on_its_boards_target(tmp_path, monkeypatch):
    from rtlm.gen.synthesis import synthesise as synthesis

    asked = []
    monkeypatch.setattr(synthesis, "accelerator_netlist", lambda config: asked.append(config) or "netlist")
    result = types.SimpleNamespace(target="xilinx-us+", total=dict.fromkeys(RESOURCES, 7.0) | {"carry": 1.0})
    monkeypatch.setattr(synthesis, "synthesise", lambda netlist, *, target, depth: asked.append(target) or result)
    path = space_file(tmp_path, set={"matmul.lanes": [64]}, models=["tinyllama-1.1b"])
    sweep(path, "--synthesise", "1", "--json", str(tmp_path / "a.json"))
    config, target = asked
    assert (config.matmul.lanes, config.limits.dim, target) == (64, 2048, "xilinx-us+")
    (point,) = json.loads((tmp_path / "a.json").read_text())["front"]
    assert point["synthesis"] == {"target": "xilinx-us+", **dict.fromkeys(RESOURCES, 7.0)}


def test_a_board_without_a_device_is_not_synthesised_and_says_so(tmp_path, capsys):
    path = space_file(tmp_path, set={"board": ["none"]})
    sweep(path, "--synthesise", "1")
    assert "cannot be synthesised: board = none has no device" in capsys.readouterr().out
