"""What shells complete: the names that there are, from a file, without the packages that take long to load."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rtlm.host.cli import main as cli
from rtlm.host.cli.completion import SHELLS
from rtlm.host.cli.name_lists import names_file
from rtlm.host.cli.names import PATH

BIN = Path(sys.executable).parent
ANSWER_SECONDS = 0.5
"""Processor time of an answer."""
HEAVY = ("numpy", "amaranth", "pydantic", "matplotlib", "rich", "yaml", "rtlm.hw", "rtlm.sim", "rtlm.host.reports")

COMPLETIONS = [
    ("rtlm gen", {"generate"}),
    ("rtlm run --ch", {"--chat"}),
    ("rtlm run --config k", {"kv260"}),
    ("rtlm show u2", {"u250", "u280"}),
    ("rtlm run --set matmul.l", {"matmul.lanes="}),
    ("rtlm run --model gem", {"gemma3-270m"}),
    ("rtlm estimate --model llama-2-7", {"llama-2-7b", "llama-2-70b"}),
    ("rtlm show kv260 --for llama-3-8", {"llama-3-8b"}),
    ("rtlm generate accelerator", {"accelerator"}),
    ("rtlm generate gem", {"gemv"}),
    ("rtlm generate gemv --ou", {"--output"}),
    ("rtlm generate gemv --set max", {"max_k_blocks="}),
    ("rtlm generate kernel mine.py:f --technology ec", {"ecp5"}),
    ("rtlm test sequencer/o", {"sequencer/one-column"}),
    ("rtlm prove fifo-", {"fifo-buffered"}),
    ("rtlm synth --target xi", {"xilinx-us+"}),
    ("rtlm selftest --board u", {"ulx3s"}),
    ("rtlm bitstream --config ulx3s-sd", {"ulx3s-sdram"}),
    ("rtlm image check build --config ti", {"tiny"}),
    ("rtlm run --backend g", {"golden"}),
    ("rtlm completion f", {"fish"}),
]


def answers(words: list[str]) -> tuple[list[str], list[str]]:
    """Ask for completions in one process; return what it printed for each, and the heavy packages that it loaded."""
    code = f"""
import json, os, sys
from contextlib import redirect_stdout
from io import BytesIO, TextIOWrapper
from rtlm.host.cli.main import cli
found = []
for words in json.loads(sys.argv[1]):
    os.environ |= {{"COMP_WORDS": words, "COMP_CWORD": str(words.count(" ")), "_RTLM_COMPLETE": "bash_complete"}}
    with redirect_stdout(TextIOWrapper(BytesIO())) as out:
        try:
            cli.main(prog_name="rtlm")
        except SystemExit as end:
            assert end.code == 0, words
    found.append(out.buffer.getvalue().decode())
print(json.dumps([found, [name for name in sys.modules if name.startswith({HEAVY})]]))
"""
    done = subprocess.run([sys.executable, "-c", code, json.dumps(words)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_names_are_completed_and_nothing_heavy_is_loaded():
    found, heavy = answers([words for words, _ in COMPLETIONS])
    for (words, expected), text in zip(COMPLETIONS, found, strict=True):
        assert {line.removeprefix("plain,") for line in text.splitlines()} == expected, words
    assert heavy == []


def test_options_of_every_command_are_completed_and_nothing_heavy_is_loaded():
    found, heavy = answers([f"rtlm {name} --" for name in cli.COMMANDS])
    assert all("plain,--help\n" in text for text in found)
    assert heavy == []


def test_files_are_offered_where_no_preset_begins_like_that():
    found, _ = answers(["rtlm run --config mine", "rtlm run --model mine"])
    assert found == ["file,mine\n", "file,mine\n"]


def test_an_answer_comes_at_once():
    """Of the program as it is installed; processor time, for the machine may be busy."""
    environment = os.environ | {
        "_RTLM_COMPLETE": "bash_complete",
        "COMP_WORDS": "rtlm run --config k",
        "COMP_CWORD": "3",
    }
    before = os.times()
    done = subprocess.run([BIN / "rtlm"], env=environment, capture_output=True, text=True, check=True)
    after = os.times()
    assert done.stdout == "plain,kv260\n"
    used = after.children_user + after.children_system - before.children_user - before.children_system
    assert used < ANSWER_SECONDS


@pytest.mark.parametrize("shell", SHELLS)
def test_scripts_are_printed(shell, capsys):
    assert cli.run_command(["completion", shell]) == 0
    out = capsys.readouterr().out
    assert f"_RTLM_COMPLETE={shell}_complete" in out and "rtlm" in out
    if program := shutil.which(shell):
        subprocess.run([program, "-n"], input=out, text=True, check=True)


def test_bash_completes():
    script = """
eval "$(rtlm completion bash)"
COMP_WORDS=(rtlm generate gem); COMP_CWORD=2
_rtlm_completion rtlm
echo "${COMPREPLY[@]}"
"""
    environment = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "--norc", "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "gemv\n"


def test_names_are_in_step_with_the_source():
    assert PATH.read_text(encoding="utf-8") == names_file(), "run: .venv/bin/python -m rtlm.host.pages"
