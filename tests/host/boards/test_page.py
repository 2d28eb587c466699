"""docs/boards.md: what runs here is executed, in its order, with a small configuration and model."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rtlm.gen.package.vivado.zynq import HPM0_BASE, MEMORY_BASE
from rtlm.host.boards.address import DEFAULT_TIMEOUT_S, SCHEMES
from rtlm.host.boards.stand_in import MACHINE
from rtlm.host.boards.uart import DEFAULT_ANSWER_S
from rtlm.hw.board.link.protocol import FLUSH, LINK_VERSION, MAX_WORDS, Opcode, Status
from rtlm.hw.board.linked import DEFAULT_BAUD, PATIENCE_BYTES

from tests.documents import DOCS, shell_blocks
from tests.host.boards.test_serial_stand_in import OVERRIDES, SHAPE

PAGE = (DOCS / "boards.md").read_text(encoding="utf-8")
BLOCKS = shell_blocks(DOCS / "boards.md")
HERE = "# runs here"


def test_every_block_says_where_it_runs():
    heads = {block.partition("\n")[0] for block in BLOCKS}
    assert HERE in heads and all(head in (HERE, "# set by you") or head.endswith(", not run") for head in heads), heads


def test_addresses_are_those_of_the_block_design():
    assert f"base={MEMORY_BASE:#x}" in PAGE and f"registers at {HPM0_BASE:#x} (HPM0_FPD)" in PAGE


def test_settings_are_those_that_are_read():
    rows = re.search(r"\| behind the device file.*?\n\n", PAGE, re.DOTALL)[0]
    assert set(re.findall(r"`(\w+)=", rows)) == {key for _, readers in SCHEMES.values() for key in readers}
    assert f"| {DEFAULT_TIMEOUT_S:g} |" in rows
    assert f"| {DEFAULT_BAUD}, {DEFAULT_ANSWER_S:g} |" in rows


def test_packets_are_those_of_the_link():
    section = PAGE[PAGE.index("## A ULX3S over its UART") : PAGE.index("## Other links")]
    for opcode in Opcode:
        assert f"{opcode.value:02x}" in section and opcode.name in section
    for status in Status:
        assert status is Status.OKAY or f"{status.value} {status.name}" in section
    assert f"version {LINK_VERSION}" in section and f"1 to {MAX_WORDS}" in section
    assert f"{len(FLUSH):,} zeros" in section and f"{PATIENCE_BYTES:,} times of a byte" in section
    assert all(f"--set {override}" in section for override in OVERRIDES)


@pytest.mark.slow
@pytest.mark.skipif(os.uname().machine != MACHINE, reason=f"the stand-in for device files needs {MACHINE}")
def test_what_runs_here_runs(random_model, tmp_path):
    if shutil.which("cc") is None:
        pytest.skip("the page compiles the C driver, and there is no C compiler cc")
    model = random_model(layers=2, dim=128, hidden_dim=256, heads=4, kv_heads=2, vocab=320, context=64)
    small_model = random_model(**SHAPE)
    script = "\n".join(block for block in BLOCKS if block.startswith(HERE))
    environment = os.environ | {
        "CONFIG": "tiny",
        "MODEL": str(model),
        "SMALL_MODEL": str(small_model),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(
        ["sh", "-e", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, errors="replace"
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "board.json").read_text())
    tokens = [int(token) for token in (tmp_path / "tokens.txt").read_text().split()]
    assert tokens == report["token_ids"] and len(tokens) == 3
    assert "power was not measured" in " ".join(done.stdout.split())
    assert len(json.loads((tmp_path / "uart.json").read_text())["token_ids"]) == 2
