"""The build cache: second builds, killed builds, parallel builds, missing tools."""

import multiprocessing
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from rtlm.gen.common.cache import cache_folder, cached, digest
from rtlm.gen.common.tool_runs import run_logged
from rtlm.sim import AcceleratorModel, ToolError, build_model, checks
from rtlm.sim.memory import dram
from rtlm.sim.verilator import build
from rtlm.sim.verilator import find as verilator

from tests.sim.verilator.design import copier_verilog

pytestmark = pytest.mark.slow

SMALL = """
module accelerator(input clk, input rst, output reg irq);
  reg [3:0] count;
  always @(posedge clk) begin
    count <= rst ? 0 : count + 1;
    irq <= !rst && count == 9;
  end
endmodule
"""


def test_a_design_without_ports_builds_and_runs():
    with AcceleratorModel(build_model(SMALL), dram=dram.named("ideal"), clock_mhz=100, memory_bytes=4096) as model:
        assert model.run(100) == 10


def test_a_second_build_is_instant():
    first = build_model(SMALL)
    start = time.monotonic()
    assert build_model(SMALL) == first
    assert time.monotonic() - start < 2
    assert build_model(SMALL, progress=lambda text: pytest.fail(text)) == first


def test_builds_differ_by_content():
    assert digest("ab", "c") != digest("a", "bc")


def test_a_build_guided_by_a_profile_does_the_same(tmp_path):
    trained = []

    def train(build):
        with AcceleratorModel(build, dram=dram.named("ideal"), clock_mhz=100, memory_bytes=4096) as model:
            trained.append(model.run(100))

    cache = _with_runtime(tmp_path)
    guided = build_model(SMALL, train=train, cache=cache)
    assert trained == [10]
    assert sorted(path.name for path in guided.library.parent.iterdir()) == ["design.v", "log", "model.so"]
    with AcceleratorModel(guided, dram=dram.named("ideal"), clock_mhz=100, memory_bytes=4096) as model:
        assert model.run(100) == 10
    assert build_model(SMALL, train=train, cache=cache) == guided
    assert trained == [10]
    assert build_model(SMALL).key != guided.key


def test_a_profile_guides_the_compiler(tmp_path, monkeypatch):
    flags = [flag for flag in build._GUIDED if flag != "-Wno-missing-profile"]
    monkeypatch.setattr(build, "_GUIDED", [*flags, "-Werror=missing-profile"])

    def train(guided):
        with AcceleratorModel(guided, dram=dram.named("ideal"), clock_mhz=100, memory_bytes=4096) as model:
            model.run(100)

    build_model(SMALL, train=train, cache=_with_runtime(tmp_path))


def test_a_profile_needs_gcc(monkeypatch):
    monkeypatch.setattr(build, "find_compiler", lambda: "/usr/bin/clang++")
    with pytest.raises(ToolError, match=r"needs g\+\+"):
        build_model(SMALL, train=lambda build: None)


def test_verilog_errors_are_a_sentence_with_a_log(tmp_path):
    with pytest.raises(ToolError, match=r"Verilator failed: .*; the whole output is in .*\.log\.$") as problem:
        build_model("module accelerator(input clk); nonsense", cache=tmp_path)
    log = Path(str(problem.value).rpartition(" in ")[2].removesuffix("."))
    assert "nonsense" in log.read_text()
    assert not list(tmp_path.glob("*.part-*"))


def test_a_missing_port_is_named(tmp_path):
    with pytest.raises(ToolError, match="no port 'irq'"):
        build_model("module accelerator(input clk, input rst); endmodule", cache=_with_runtime(tmp_path))


def _with_runtime(folder):
    """Return a cache that has the Verilator runtime already, so that a test does not compile it."""
    build_model(SMALL)
    for entry in cache_folder("sim").iterdir():
        if entry.is_dir() and (entry / "verilated.o").is_file():
            shutil.copytree(entry, folder / entry.name)
    return folder


def _build_forever(cache, started):
    def make(folder):
        (folder / "half").write_text("half")
        started.set()
        time.sleep(600)

    cached("key", make, cache=cache)


def test_a_killed_build_leaves_nothing_that_is_taken_for_a_result(tmp_path):
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    process = context.Process(target=_build_forever, args=(tmp_path, started))
    process.start()
    assert started.wait(60)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert list(tmp_path.glob("key.part-*"))
    folder = cached("key", lambda folder: (folder / "whole").write_text("whole"), cache=tmp_path)
    assert [entry.name for entry in folder.iterdir()] == ["whole"]
    assert not list(tmp_path.glob("key.part-*"))


def _build_once(cache, count):
    def make(folder):
        with count.get_lock():
            count.value += 1
        time.sleep(0.3)

    cached("key", make, cache=cache)


def test_two_processes_build_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    count = context.Value("i", 0)
    processes = [context.Process(target=_build_once, args=(tmp_path, count)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert count.value == 1


def test_a_failed_build_is_tried_again(tmp_path):
    def fail(folder):
        raise ToolError("It failed.")

    with pytest.raises(ToolError, match="It failed"):
        cached("key", fail, cache=tmp_path)
    assert cached("key", lambda folder: None, cache=tmp_path).is_dir()


def test_a_cache_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ToolError, match=r"cache .* cannot be used: Not a directory\."):
        cached("key", lambda folder: None, cache=tmp_path / "file" / "cache")


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [(("g++", "clang++"), "apt install g\\+\\+"), (("perl", "verilator"), "apt install perl")],
)
def test_missing_tools_are_named(monkeypatch, missing, sentence):
    which = shutil.which
    monkeypatch.setattr(verilator.shutil, "which", lambda name: None if name in missing else which(name))
    with pytest.raises(ToolError, match=sentence):
        build_model(SMALL)
    assert not all(fine for _, fine, _ in checks())


def test_a_missing_command_of_a_build_is_named(tmp_path):
    with pytest.raises(ToolError, match=r"/nowhere/g\+\+ was not found; on Debian and Ubuntu: apt install g\+\+\.$"):
        run_logged(["/nowhere/g++", "-c"], tmp_path, "Compiling")


def test_checks_are_sentences():
    for name, _, sentence in checks():
        assert name and sentence.endswith(".")


def test_trace_kinds_are_checked():
    with pytest.raises(ValueError, match="got 'lxt'"):
        build_model(SMALL, trace="lxt")


def test_fst_without_headers_says_what_to_install(monkeypatch):
    monkeypatch.setattr(build, "can_write_fst", lambda: False)
    with pytest.raises(ToolError, match="liblz4-dev"):
        build_model(SMALL, trace="fst")


def test_a_saif_window_counts_toggles(tmp_path):
    saif = build_model(copier_verilog(ports=1, width=32, beats=16), trace="saif")
    with AcceleratorModel(saif, dram=dram.named("ideal"), clock_mhz=100, memory_bytes=1 << 16) as model:
        for register, value in ((4, 0), (8, 0), (12, 1000), (16, 0), (0, 1)):
            model.write_register(register, value)
        model.trace_start(tmp_path / "a.saif")
        model.step(1000)
        model.trace_stop()
        text = (tmp_path / "a.saif").read_text()
        assert "(DURATION" in text and "(TC" in text
        model.run(100_000)
