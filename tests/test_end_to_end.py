"""The whole accelerator in Verilator against the golden model, bit for bit, and its ways out of errors."""

import hashlib

import numpy as np
import pytest
from rtlm.gen.config import load_config
from rtlm.host.engine import ColumnInput
from rtlm.host.errors import AcceleratorError
from rtlm.host.fetch import fetch
from rtlm.host.generation import generate
from rtlm.host.golden import GoldenModel
from rtlm.host.golden_engine import GoldenEngine
from rtlm.host.model import LlamaModel, write_random_model
from rtlm.host.progress import SilentProgress
from rtlm.host.sampling import SamplingParams
from rtlm.host.session import simulate

CONTEXT = 64
PROMPT = [5, 17, 300, 42, 8, 111, 3]
NEW_TOKENS = 6

CONFIGURATIONS = {
    "as it is": [],
    "wide array, four lanes, one port": [
        "matmul.lanes=256",
        "vector.lanes=4",
        "memory.ports=1",
        "memory.prefetch_kib=32",
        "attention.bytes_per_cycle=32",
    ],
    "narrow array, two columns": ["matmul.lanes=64", "matmul.columns=2", "memory.dram=ddr4-2400"],
    "three columns, four ports": [
        "matmul.columns=3",
        "memory.ports=4",
        "memory.outstanding=4",
        "memory.prefetch_kib=32",
    ],
}


@pytest.fixture(scope="module")
def small_model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "random.gguf"
    write_random_model(path, layers=2, dim=128, hidden_dim=256, heads=4, kv_heads=2, vocab=320, context=CONTEXT)
    return LlamaModel.open(path)


@pytest.fixture(scope="module")
def expected(small_model):
    """Tokens and logits of the golden model."""
    return run(GoldenEngine(GoldenModel(small_model), context=CONTEXT))


def run(stepper):
    logits = []
    steps = generate(
        stepper,
        PROMPT,
        max_tokens=NEW_TOKENS,
        stop=frozenset(),
        sampling=SamplingParams(),
        read_logits=True,
        on_logits=logits.append,
    )
    tokens = [step.token for step in steps if step.token is not None]
    return tokens, np.stack(logits)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_configuration_gives_the_golden_bits(small_model, expected, name):
    config = load_config("tiny", CONFIGURATIONS[name])
    with simulate(config, small_model, context=CONTEXT, progress=SilentProgress()) as simulation:
        tokens, logits = run(simulation.engine)
    assert tokens == expected[0]
    np.testing.assert_array_equal(logits.view(np.uint32), expected[1].view(np.uint32))


def test_stalls_on_the_bus_change_nothing(small_model, expected):
    config = load_config("tiny")
    stalls = {"stall_seed": 7, "stall_percent": 30}
    with simulate(config, small_model, context=CONTEXT, progress=SilentProgress(), **stalls) as simulation:
        tokens, logits = run(simulation.engine)
    assert tokens == expected[0]
    np.testing.assert_array_equal(logits.view(np.uint32), expected[1].view(np.uint32))


def test_sequences_in_columns_are_those_that_run_alone(small_model):
    """Two sequences at different positions share a pass; each gives the bits that it gives alone."""
    first, second = [9, 30, 77, 250], [200, 11]
    golden = GoldenModel(small_model)

    def alone(tokens):
        return golden.evaluate(tokens, golden.cache(CONTEXT), last_only=True)[0]

    config = load_config("tiny", CONFIGURATIONS["narrow array, two columns"])
    with simulate(config, small_model, context=CONTEXT, progress=SilentProgress()) as simulation:
        engine = simulation.engine

        def column(token, position, slot, own):
            return ColumnInput(token=token, position=position, history=position, local_first=own, slot=slot)

        engine.step([column(first[0], 0, 0, 0)], want_logits=False)
        engine.step([column(first[1], 1, 0, 0)], want_logits=False)
        engine.step([column(first[2], 2, 0, 0), column(second[0], 0, 1, 1)], want_logits=False)
        result = engine.step([column(first[3], 3, 0, 0), column(second[1], 1, 1, 1)], read_logits=True)
    for got, tokens in zip(result.logits, (first, second), strict=True):
        np.testing.assert_array_equal(got.view(np.uint32), alone(tokens).view(np.uint32))


def feed(engine, token, position):
    return engine.step(
        [ColumnInput(token=token, position=position, history=position, local_first=0, slot=0)], read_logits=True
    )


def test_errors_stop_readably_and_reset_recovers(small_model, expected):
    config = load_config("tiny")
    with simulate(config, small_model, context=CONTEXT, progress=SilentProgress()) as simulation:
        engine, model = simulation.engine, simulation.device.model
        registers = engine.registers
        reference = feed(engine, PROMPT[0], 0).logits

        def recovers():
            engine.reset()
            np.testing.assert_array_equal(feed(engine, PROMPT[0], 0).logits, reference)

        start = simulation.device.striping.byte_address(engine.memory.address("layer1.down"), 0)
        model.inject_faults([(start, start + 64, "SLVERR")])
        with pytest.raises(AcceleratorError, match="read_response"):
            feed(engine, PROMPT[0], 0)
        model.inject_faults([])
        recovers()

        start = simulation.device.striping.byte_address(engine.memory.address("kv0"), 0)
        model.inject_faults([(start, start + 4096, "DECERR")])
        with pytest.raises(AcceleratorError, match="write_response"):
            feed(engine, PROMPT[0], 0)
        model.inject_faults([])
        recovers()

        registers.write("LIMIT", engine.memory.address("output"))
        with pytest.raises(AcceleratorError, match="_limit"):
            feed(engine, PROMPT[0], 0)
        registers.write("LIMIT", engine.memory.beats)
        recovers()

        program = engine.memory.regions["program"]
        saved = simulation.device.read_words(program.start, 1)
        broken = saved.copy()
        broken[0] = 0xF
        simulation.device.write_words(program.start, broken)
        with pytest.raises(AcceleratorError, match="illegal_instruction"):
            feed(engine, PROMPT[0], 0)
        simulation.device.write_words(program.start, saved)
        recovers()

        # A program whose matrix has fewer words than the array needs: nothing moves any more.
        registers.write("WATCHDOG", 3000)
        short = saved.copy()
        short[4:8] = np.array([1], "<u4").view(np.uint8)
        simulation.device.write_words(program.start, short)
        with pytest.raises(AcceleratorError, match="watchdog"):
            feed(engine, PROMPT[0], 0)
        simulation.device.write_words(program.start, saved)
        recovers()

        with pytest.raises(AcceleratorError, match="bad_columns"):
            registers.write("COLUMNS", 0)
            registers.write("CONTROL", registers.registers["CONTROL"].encode(start=1))
            engine.check_error()
        recovers()

        # Started while busy, and reset in the middle of a token.
        control = registers.registers["CONTROL"]
        registers.write("CONTROL", control.encode(start=1))
        model.step(700)
        registers.write("CONTROL", control.encode(start=1))
        with pytest.raises(AcceleratorError, match="start_while_busy"):
            engine.check_error()
        recovers()
        for cycles in (50, 333, 1500, 4000):
            registers.write("CONTROL", control.encode(start=1))
            model.step(cycles)
            recovers()


def test_an_image_for_another_configuration_is_refused(small_model):
    config = load_config("tiny")
    with simulate(config, small_model, context=CONTEXT, progress=SilentProgress()) as simulation:
        from dataclasses import replace

        from rtlm.host.engine import Engine

        other = replace(simulation.engine.params, config_hash=1)
        with pytest.raises(AcceleratorError, match="built from configuration"):
            Engine(simulation.device, other, simulation.memory, vocabulary=320, context=CONTEXT)


def test_smollm2_on_kv260_gives_the_golden_bits():
    """Eight tokens of the real model on the default configuration: logits of every one."""
    model = LlamaModel.open(fetch())
    golden = GoldenEngine(GoldenModel(model), context=CONTEXT)
    config = load_config("kv260")
    token = 504
    digests = hashlib.sha256(), hashlib.sha256()
    with simulate(config, model, context=CONTEXT, progress=SilentProgress()) as simulation:
        for position in range(8):
            ours, theirs = feed(simulation.engine, token, position), feed(golden, token, position)
            for digest, result in zip(digests, (ours, theirs), strict=True):
                digest.update(result.logits.tobytes())
            assert ours.best == theirs.best
            token = ours.best[0]
    assert digests[0].hexdigest() == digests[1].hexdigest()
