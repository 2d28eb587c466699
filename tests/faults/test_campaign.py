"""Random single faults: never a hang, never wrong bits without an error, always a way back."""

import collections

import numpy as np
import pytest
from rtlm.gen.common.progress import SilentProgress
from rtlm.gen.configuration.load import load_config
from rtlm.host.compiler.image import build_image
from rtlm.host.compiler.program import compile_model, program_crc
from rtlm.host.models.model import LlamaModel
from rtlm.host.runtime.simulation import simulate
from rtlm.hw.control.errors import Error

from tests.faults.campaign import Campaign, CampaignError, interruptions

pytestmark = pytest.mark.slow

CONTEXT = 16
FAULTS = {
    "read_response": 40,
    "program_response": 12,
    "write_response": 12,
    "program_bit": 60,
    "program_registers": 20,
    "limit": 16,
    "illegal_instruction": 4,
    "kv_base": 10,
    "first_kv_base": 6,
    "reset": 16,
    "hard_reset": 12,
    "short_reset": 60,
    "start_while_busy": 12,
    "bad_columns": 4,
    "bad_position": 6,
    "bad_history": 6,
    "bad_local_first": 6,
    "locked": 20,
    "watchdog": 6,
    "identity": 8,
    "header": 8,
}
"""How many of each kind; `--faults N` multiplies them."""
PROVOKED_BY = {
    Error.ILLEGAL_INSTRUCTION: "illegal_instruction",
    Error.PROGRAM_CHECKSUM: "program_bit",
    Error.READ_RESPONSE: "program_response",
    Error.READ_LIMIT: "kv_base",
    Error.READ_ALIGNMENT: "kv_base",
    Error.WRITE_RESPONSE: "write_response",
    Error.WRITE_LIMIT: "first_kv_base",
    Error.WRITE_ALIGNMENT: "first_kv_base",
    Error.WATCHDOG: "watchdog",
    Error.START_WHILE_BUSY: "start_while_busy",
    Error.BAD_COLUMNS: "bad_columns",
    Error.BAD_POSITION: "bad_position",
    Error.BAD_HISTORY: "bad_history",
    Error.BAD_LOCAL_FIRST: "bad_local_first",
}
"""A kind of fault that ends with it, if not each time."""
MOST_TRIES = 40


@pytest.fixture(scope="module")
def campaign(random_model, seed):
    path = random_model(layers=1, dim=128, hidden_dim=128, heads=4, kv_heads=2, vocab=272, context=CONTEXT)
    model, config = LlamaModel.open(path), load_config("tiny")
    params = config.to_params()
    memory, program = compile_model(params, model, context=CONTEXT)
    with simulate(config, model, context=CONTEXT, progress=SilentProgress()) as simulation:
        image = build_image(params, model, memory, program)
        yield Campaign(simulation, image, program_crc(params, program), np.random.default_rng(seed))


@pytest.mark.parametrize("kind", FAULTS)
def test_single_faults(campaign, kind, request):
    act = interruptions(campaign).get(kind, lambda: campaign.run(kind))
    outcomes = [act() for _ in range(FAULTS[kind] * request.config.getoption("--faults"))]
    counts = collections.Counter(outcome.end for outcome in outcomes)
    print(f"{kind}: {len(outcomes)} faults, {dict(counts)}")
    if kind not in ("reset", "hard_reset", "short_reset"):
        # A kind of fault that never shows tests nothing.
        assert counts.keys() - {"right"}, f"none of {len(outcomes)} faults was noticed"


def test_every_error_is_provoked(campaign):
    """No documented error code is one that nothing here has ever ended with."""
    assert PROVOKED_BY.keys() == set(Error) - {Error.NONE}
    for error, kind in PROVOKED_BY.items():
        act = interruptions(campaign).get(kind, lambda kind=kind: campaign.run(kind))
        assert any(act().end == error.name for _ in range(MOST_TRIES)), f"{kind} never ended with {error.name}"


def test_without_the_check_a_flipped_bit_goes_unnoticed(campaign):
    """The campaign sees wrong bits: with the program's check off, some flipped bit changes logits silently."""
    campaign.registers.write("PROGRAM_CRC", 0)
    try:
        with pytest.raises(CampaignError, match=r"ended with NONE|without an error"):
            for _ in range(200):
                campaign.run("program_bit")
    finally:
        campaign.device.load(campaign.image)
        campaign.registers.write("PROGRAM_CRC", campaign.program_crc)
    campaign.recover("no check", "the last one")
    assert campaign.registers.read("ERROR") == Error.NONE.value
