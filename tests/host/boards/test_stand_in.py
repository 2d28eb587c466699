"""Drivers against the Verilated accelerator behind device files: same bits, and a sentence for what breaks."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from rtlm.gen.common.progress import SilentProgress
from rtlm.gen.configuration.load import load_config
from rtlm.host import session
from rtlm.host.boards import stand_in as stand_ins
from rtlm.host.boards.stand_in import stand_in
from rtlm.host.boards.stand_in_server import Faults
from rtlm.host.compiler.image_folder import write_image
from rtlm.host.session_options import RunOptions

from tests.documents import ROOT
from tests.gen.package.driver_sources import STRICT, write_driver

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.uname().machine != stand_ins.MACHINE, reason=f"accesses to registers are trapped on {stand_ins.MACHINE} only"
    ),
]
SHAPE = {"layers": 2, "dim": 128, "hidden_dim": 256, "heads": 4, "kv_heads": 2, "vocab": 320, "context": 64}
NEW_TOKENS = 3
BASE = 0x4000_0000
XDMA = "xdma:/dev/xdma0"
UIO = f"uio:/dev/uio0,udmabuf=udmabuf0,base={BASE:#x}"
CARD = f"{XDMA},base={BASE:#x}"


@pytest.fixture(scope="module")
def model(random_model):
    return random_model(**SHAPE)


@pytest.fixture(scope="module")
def expected(model):
    """What the simulator computes."""
    options = RunOptions(texts=("abc",), max_tokens=NEW_TOKENS, config="tiny", model=model, read_logits=True)
    return session.run(options, SilentProgress()).to_json()


@pytest.fixture(scope="module")
def board():
    """Device files of a board that works."""
    with stand_in("tiny", base=BASE) as variables:
        yield variables


@pytest.fixture(scope="module")
def image(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("images") / "image"
    write_image(load_config("tiny"), model, folder)
    return folder


@pytest.fixture
def drive(model):
    """Run sessions in a program with some device files; gives what came of each."""

    def drive(variables, *runs):
        values = {"max_tokens": NEW_TOKENS, "config": "tiny", "model": str(model)}
        command = [sys.executable, "-m", "tests.host.boards.driver_program"]
        command.append(json.dumps([values | run for run in runs]))
        done = subprocess.run(command, env=os.environ | variables, cwd=ROOT, capture_output=True, text=True)
        assert not done.stderr, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    return drive


def same(report, expected):
    keys = ("token_ids", "logits_sha256", "operators", "units")
    assert [report.get(key) for key in keys] == [expected[key] for key in keys], report.get("error")
    assert [step["cycles"] for step in report["steps"]] == [step["cycles"] for step in expected["steps"]]


def test_boards_give_the_bits_and_cycles_of_the_simulator(drive, board, expected, image):
    """Registers by trapped loads and stores, memory by DMA files and by a buffer with a cache of its own."""
    reports = drive(board, {"backend": CARD}, {"backend": UIO}, {"backend": f"{UIO},image={image},interrupt=poll"})
    assert len(reports) == 3
    for report in reports:
        same(report, expected)
        assert report["power"] is None and report["memory"] is None and report["bytes"] is None
        assert report["simulator"]["wall_s"] > 0 and report["simulator"]["simulated_cycles"] is None
        assert "counted on the board" in report["pedigree"]["operators"]
        assert "measured in RTL" not in json.dumps(report)
        (note,) = report["notes"]
        assert "power was not measured" in note


def test_what_does_not_belong_together_is_refused(drive, board, expected, image, random_model):
    """Another bitstream, an image of another model, a buffer elsewhere, more memory than there is; then all is well."""
    other = str(random_model(**SHAPE | {"vocab": 300}))
    runs = [
        {"backend": CARD, "overrides": ["attention.context_limit=128"]},
        {"backend": f"{CARD},image={image}", "model": other},
        {"backend": "uio:/dev/uio0,udmabuf=udmabuf0"},
        {"backend": XDMA},
        {"backend": f"{CARD},event=1"},
        {"backend": UIO},
    ]
    *refused, done = drive(board, *runs)
    sentences = [report["error"] for report in refused]
    for sentence, part in zip(
        sentences,
        (
            "the accelerator was built from configuration",
            "was made from another",
            "begins at physical address 0x40000000, but the accelerator's byte address 0 is at 0x0",
            "xdma:/dev/xdma0 could not write",
            "/dev/xdma0_events_1 cannot be opened: No such file or directory; it is a device file of AMD's XDMA",
        ),
        strict=True,
    ):
        assert part in sentence, sentence
    same(done, expected)


def test_a_program_that_dies_within_a_step_leaves_a_board_that_can_be_used(drive, board, expected):
    assert drive(board, {"backend": CARD, "die_in": 3}) == []
    (report,) = drive(board, {"backend": CARD})
    same(report, expected)


def test_a_pulled_cable_is_a_sentence(drive, board, expected):
    with stand_in("tiny", faults=Faults(die=3)) as variables:
        first, second = drive(variables, {"backend": XDMA}, {"backend": XDMA})
    assert "does not answer" in first["error"] or "tells of no interrupts any more" in first["error"]
    # The files are gone: those that are really there, of which there are none here.
    assert "cannot be opened" in second["error"]


def test_a_step_that_hangs_is_reset_and_can_be_tried_again(drive, expected):
    with stand_in("tiny", faults=Faults(hang=3)) as variables:
        backend = f"{XDMA},timeout=5"
        first, second = drive(variables, {"backend": backend}, {"backend": XDMA})
    assert "the step did not end within 5 s on xdma:/dev/xdma0 (STATUS busy, ERROR 0, CYCLES" in first["error"]
    assert "was reset and can be used again" in first["error"]
    same(second, expected)


def test_short_transfers_are_continued(drive, expected):
    with stand_in("tiny", faults=Faults(short=1000)) as variables:
        (report,) = drive(variables, {"backend": XDMA})
    same(report, expected)


def test_an_interrupt_that_is_not_connected_is_found_before_the_first_step(drive, expected):
    with stand_in("tiny", faults=Faults(silent=1)) as variables:
        first, second = drive(variables, {"backend": XDMA}, {"backend": f"{XDMA},interrupt=poll"})
    assert "the step has ended, but no interrupt came through xdma:/dev/xdma0" in first["error"]
    same(second, expected)


def test_memory_that_the_accelerator_does_not_see_is_found_before_the_first_step(drive):
    with stand_in("tiny", faults=Faults(shift=1 << 20)) as variables:
        (report,) = drive(variables, {"backend": XDMA})
    assert "does not read what is written to the memory of xdma:/dev/xdma0" in report["error"]


@pytest.fixture(scope="module")
def decode(tmp_path_factory):
    """The example of the C driver, compiled."""
    return compiled(load_config("tiny"), tmp_path_factory.mktemp("driver"))


def compiled(config, folder, *more):
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("the C driver needs a C compiler: gcc or cc")
    driver = write_driver(config, folder)
    subprocess.run([compiler, *STRICT, *more, "-O1", "-o", "decode", "main.c", "driver.c"], cwd=driver, check=True)
    return driver / "decode"


def run_c(decode, variables, board, image, prompt):
    command = [decode, board, image, NEW_TOKENS, *prompt]
    return subprocess.run(list(map(str, command)), env=os.environ | variables, capture_output=True, text=True)


def test_the_c_driver_decodes_the_same_tokens(decode, board, expected, image):
    prompt = expected["prompt_ids"]
    card = run_c(decode, board, f"uio:/dev/uio0,udmabuf0,{BASE:#x}", image, prompt)
    assert (card.returncode, card.stdout.split()) == (0, [str(token) for token in expected["token_ids"]])
    elsewhere = run_c(decode, board, "uio:/dev/uio0,udmabuf0", image, prompt)
    assert "udmabuf0 begins at 0x40000000, but the accelerator's byte address 0 is at 0" in elsewhere.stderr
    with stand_in("tiny", faults=Faults(die=3, short=1000)) as variables:
        died = run_c(decode, variables, XDMA, image, prompt)
    assert (died.returncode, died.stdout) == (1, f"{expected['token_ids'][0]}\n")
    assert "does not answer: its registers read as ones" in died.stderr


def test_the_c_driver_refuses_what_is_not_its_own(board, expected, image, tmp_path):
    other = compiled(load_config("tiny", ["attention.context_limit=128"]), tmp_path)
    done = run_c(other, board, f"uio:/dev/uio0,udmabuf0,{BASE:#x}", image, expected["prompt_ids"])
    assert (done.returncode, done.stdout) == (1, "")
    assert "the memory image is for another configuration than" in done.stderr


def test_the_c_driver_resets_a_step_that_hangs(expected, image, tmp_path):
    decode = compiled(load_config("tiny"), tmp_path, "-DPATIENCE=3u")
    with stand_in("tiny", faults=Faults(hang=2)) as variables:
        first, second = (run_c(decode, variables, XDMA, image, expected["prompt_ids"]) for _ in range(2))
    assert (first.returncode, first.stdout) == (1, "")
    assert "did not end in time; the accelerator was reset and can be used again" in first.stderr
    assert (second.returncode, second.stdout.split()) == (0, [str(token) for token in expected["token_ids"]])


def test_a_conversation_runs_on_a_board(board, model):
    """The KV cache is kept between the turns; what is answered is what the golden model answers."""

    def chat(backend):
        code = "from rtlm.host.cli.main import main; main()"
        command = [sys.executable, "-c", code, "chat", "--config", "tiny", "--model", str(model), "--backend", backend]
        said = subprocess.run(
            [*command, "--max-tokens", "2"], input=b"a\nb\n", env=os.environ | board, capture_output=True, check=True
        )
        return said.stdout, said.stderr.decode()

    (answers, told), (expected, _) = chat(CARD), chat("golden")
    assert answers == expected and answers.count(b"\n") == 2
    assert "board by the clock on the wall" in told and "of them" in told
