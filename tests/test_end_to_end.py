"""The whole accelerator in Verilator against the golden model, bit for bit, and its ways out of errors."""

import hashlib
import shutil
from dataclasses import replace

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from rtlm.gen.common.progress import SilentProgress
from rtlm.gen.configuration.load import load_config
from rtlm.host.compiler.program import compile_model
from rtlm.host.errors import AcceleratorError
from rtlm.host.golden.engine import GoldenEngine
from rtlm.host.golden.model import GoldenModel
from rtlm.host.models.model import LlamaModel
from rtlm.host.runtime.device import ColumnInput
from rtlm.host.runtime.generation import generate
from rtlm.host.runtime.sampling import SamplingParams
from rtlm.host.runtime.simulation import simulate
from rtlm.hw.common.clock_gate import SIMULATION_MACRO
from rtlm.hw.control.isa import INSTRUCTION_BYTES, Opcode
from rtlm.hw.control.legality import RULES, broken_rules
from rtlm.hw.formats import BlockFormat
from rtlm.hw.unit_params import unit_params
from rtlm.hw.vector.epilogue import Epilogue
from rtlm.sim.verilator import build

pytestmark = pytest.mark.slow

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


SIZES = {"layers": 2, "dim": 128, "hidden_dim": 256, "heads": 4, "kv_heads": 2, "vocab": 320, "context": CONTEXT}

OTHER_TYPES = {
    "float matrices and F16 norms": {
        "matrix_type": Type.F16,
        "norm_type": Type.F16,
        "types": {"blk.0.attn_v.weight": Type.F32, "blk.1.ffn_up.weight": Type.F32, "token_embd.weight": Type.F32},
    },
    "every format in one model": {
        "types": {
            "blk.0.attn_q.weight": Type.Q4_0,
            "blk.0.attn_v.weight": Type.Q8_0,
            "blk.0.attn_output.weight": Type.F16,
            "blk.1.attn_k.weight": Type.Q8_0,
            "blk.1.ffn_gate.weight": Type.Q4_0,
            "blk.1.ffn_up.weight": Type.Q4_0,
            "blk.1.ffn_down.weight": Type.F32,
            "token_embd.weight": Type.Q4_1,
        }
    },
    "symmetric nibbles, separate output": {"matrix_type": Type.Q4_0, "embedding_type": Type.Q4_0, "tied": False},
}


@pytest.fixture(scope="module")
def small_model(random_model):
    return LlamaModel.open(random_model(**SIZES))


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


def test_a_simulator_guided_by_a_profile_gives_the_golden_bits(small_model, expected):
    with simulate(load_config("tiny"), small_model, context=CONTEXT, progress=SilentProgress(), pgo=True) as simulation:
        tokens, logits = run(simulation.engine)
    assert tokens == expected[0]
    np.testing.assert_array_equal(logits.view(np.uint32), expected[1].view(np.uint32))


def test_stopped_clocks_change_neither_bits_nor_cycles(small_model, monkeypatch):
    """Clocks that the simulator stops, the one clock that all other tools see, and the model of a library's gates."""

    def steps(gating):
        config = load_config("tiny", [f"clock_gating={gating}"])
        with simulate(config, small_model, context=CONTEXT, progress=SilentProgress()) as simulation:
            columns = (
                ColumnInput(token=token, position=n, history=n, local_first=0, slot=0) for n, token in enumerate(PROMPT)
            )
            results = [simulation.engine.step([column], read_logits=True) for column in columns]
        return [(result.counters["CYCLES"], result.best, result.logits.tobytes()) for result in results]

    stopped = steps("simulator")
    assert steps("cells") == stopped
    monkeypatch.setattr(build, "_VERILATE", [flag for flag in build._VERILATE if SIMULATION_MACRO not in flag])
    assert steps("simulator") == stopped


@pytest.mark.parametrize("name", OTHER_TYPES)
def test_every_tensor_type_gives_the_golden_bits(random_model, name):
    model = LlamaModel.open(random_model(seed=2, **SIZES, **OTHER_TYPES[name]))
    expected = run(GoldenEngine(GoldenModel(model), context=CONTEXT))
    with simulate(load_config("tiny"), model, context=CONTEXT, progress=SilentProgress()) as simulation:
        tokens, logits = run(simulation.engine)
    assert tokens == expected[0]
    np.testing.assert_array_equal(logits.view(np.uint32), expected[1].view(np.uint32))


def test_columns_give_the_same_steps_on_both_back_ends(small_model):
    """Prompt in columns, then decoding: inputs, arg-max of every column and logits, step by step."""
    config = load_config("tiny", CONFIGURATIONS["narrow array, two columns"])
    golden = GoldenEngine(GoldenModel(small_model), context=CONTEXT, columns=2)
    options = {"max_tokens": 3, "stop": frozenset(), "sampling": SamplingParams(), "read_logits": True}
    with simulate(config, small_model, context=CONTEXT, progress=SilentProgress()) as simulation:
        ours = list(generate(simulation.engine, PROMPT, **options))
    theirs = list(generate(golden, PROMPT, **options))
    assert [step.inputs for step in ours] == [step.inputs for step in theirs]
    assert [step.result.best for step in ours] == [step.result.best for step in theirs]
    for a, b in zip(ours, theirs, strict=True):
        if a.result.logits is not None:
            np.testing.assert_array_equal(a.result.logits.view(np.uint32), b.result.logits.view(np.uint32))


def line_up_output(path):
    """Let row i of the output matrix be row 0 times a factor that grows with i.

    So the first token wins where all logits are negative and the last one where all are positive.
    """
    raw = np.memmap(path, np.uint8, "r+")
    tensor = LlamaModel.open(path).file.tensors["output.weight"]
    format = BlockFormat.Q8_0
    blocks = raw[tensor.offset :][: tensor.size].reshape(tensor.shape[0], -1, format.block_bytes)
    blocks[1:] = blocks[0]
    scales = np.ascontiguousarray(blocks[..., : format.scale_bytes]).view("<f2")[..., 0]
    factors = np.linspace(1, 2, len(blocks))[:, None]
    blocks[..., : format.scale_bytes] = (scales * factors).astype("<f2")[..., None].view(np.uint8)
    raw.flush()


@pytest.mark.parametrize("name", ["as it is", "wide array, four lanes, one port"])
def test_a_vocabulary_that_the_vector_lanes_do_not_divide(random_model, tmp_path, name):
    """321 tokens: neither do the rows that fill the output matrix up win, nor are they among the logits."""
    path = shutil.copy(random_model(seed=4, **SIZES | {"vocab": 321}, tied=False), tmp_path)
    line_up_output(path)
    model = LlamaModel.open(path)
    golden = GoldenEngine(GoldenModel(model), context=CONTEXT)
    winners = set()
    with simulate(load_config("tiny", CONFIGURATIONS[name]), model, context=CONTEXT, progress=SilentProgress()) as ours:
        for position, token in enumerate([*PROMPT, 320]):
            got, expected = feed(ours.engine, token, position), feed(golden, token, position)
            assert got.logits.shape == (1, 321)
            np.testing.assert_array_equal(got.logits.view(np.uint32), expected.logits.view(np.uint32))
            assert got.best == expected.best
            winners.add(got.best[0])
    assert winners == {0, 320}, "of both signs"


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
        engine.reset()
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


def test_step_registers_are_checked_in_every_column_that_takes_part(small_model):
    config = load_config("tiny", CONFIGURATIONS["narrow array, two columns"])
    context = config.attention.context_limit
    with simulate(config, small_model, context=CONTEXT, progress=SilentProgress()) as simulation:
        engine, registers = simulation.engine, simulation.engine.registers
        reference = feed(engine, PROMPT[0], 0).logits
        for column in (0, 1):
            for name, value in (("POSITION", context), ("HISTORY", context + 1), ("LOCAL_FIRST", column + 1)):
                right = registers.read(name, column)
                registers.write(name, value, column)
                registers.write("COLUMNS", 2)
                registers.write("CONTROL", registers.registers["CONTROL"].encode(start=1))
                with pytest.raises(AcceleratorError, match=f"bad_{name.lower()}"):
                    engine.check_error()
                engine.reset()
                # Column 1 takes no part in a step of one column.
                np.testing.assert_array_equal(feed(engine, PROMPT[0], 0).logits, reference)
                registers.write(name, right, column)


def test_an_image_for_another_configuration_is_refused(small_model):
    config = load_config("tiny")
    with simulate(config, small_model, context=CONTEXT, progress=SilentProgress()) as simulation:
        from rtlm.host.runtime.engine import Engine

        other = replace(simulation.engine.params, config_hash=1)
        with pytest.raises(AcceleratorError, match="built from configuration"):
            Engine(simulation.device, other, simulation.memory, vocabulary=320, context=CONTEXT)


def share_scales(path, shifts):
    """Return neighbouring blocks of a file's matrices the scale of their group, as AWQ and GPTQ do."""
    raw = np.memmap(path, np.uint8, "r+")
    for name, tensor in LlamaModel.open(path).file.tensors.items():
        if tensor.type.name in BlockFormat.__members__:
            format = BlockFormat[tensor.type.name]
            blocks = raw[tensor.offset :][: tensor.size].reshape(tensor.shape[0], -1, format.block_bytes)
            group = 1 << shifts[name.split(".")[-2]]
            scales = blocks[:, ::group, : format.scale_bytes]
            blocks[..., : format.scale_bytes] = np.repeat(scales, group, axis=1)
    raw.flush()


def test_group_weights_give_the_golden_bits(random_model, tmp_path):
    """int4, int8 and 4 bit with minimum, scales for groups of 32 to 256 weights: smaller in memory, same bits."""
    shifts = {"attn_q": 0, "attn_k": 1, "attn_v": 2, "attn_output": 2, "ffn_gate": 1, "ffn_up": 2, "ffn_down": 3}
    types = {f"blk.0.{name}.weight": Type.Q4_0 for name in shifts} | {"blk.1.ffn_down.weight": Type.Q8_0}
    path = shutil.copy(random_model(seed=3, **SIZES, types=types), tmp_path)
    plain = LlamaModel.open(path)
    config = load_config("tiny")
    without, _ = compile_model(config.to_params(), plain, context=CONTEXT)
    share_scales(path, {**shifts, "token_embd": 2})
    model = LlamaModel.open(path)
    expected = run(GoldenEngine(GoldenModel(model), context=CONTEXT))
    with simulate(config, model, context=CONTEXT, progress=SilentProgress()) as simulation:
        regions = simulation.engine.memory.regions
        matrices = [regions[f"layer0.{name}"].tensor for name in ("wq", "wk", "wv", "wo", "gate_up", "down")]
        assert [matrix.storage.group_shift for matrix in matrices] == [0, 1, 2, 2, 1, 3]
        # 4 bits and 16 / 256 a weight, in whole words of 64 bytes.
        assert regions["layer0.down"].words == 256 + 4
        assert regions["output"].words < without.regions["output"].words
        tokens, logits = run(simulation.engine)
    assert tokens == expected[0]
    np.testing.assert_array_equal(logits.view(np.uint32), expected[1].view(np.uint32))


ILLEGAL_VALUES = {
    Opcode.LOAD: [("opcode", 15), ("words", 0), ("rows", 0), ("epilogue", Epilogue.EMBED)],
    Opcode.EMBED: [("words", 0), ("rows", 129), ("epilogue", Epilogue.LOAD_NORM)],
    Opcode.MATMUL: [
        ("words", 0),
        ("rows", 0),
        ("rows", 127),
        ("k_blocks", 0),
        ("k_blocks", 0xFFFF),
        ("format", 3),
        ("group_shift", 3),
        ("packet_shift", 0),
        ("packet_shift", 15),
        ("epilogue", Epilogue.EMBED),
        ("epilogue", 15),
    ],
    Opcode.ATTENTION: [
        ("rows", 0),
        ("kv_heads", 0),
        ("kv_heads", 255),
        ("group", 0),
        ("group", 15),
        ("epilogue", Epilogue.RESIDUAL),
    ],
}


def test_illegal_values_are_refused(small_model):
    """Each rule, broken in a program that is legal otherwise, stops the step; a reset recovers."""
    config = load_config("tiny")
    params = config.to_params()
    _, program = compile_model(params, small_model, context=CONTEXT)
    limits = unit_params(params).sequencer.limits
    assert not any(broken_rules(instruction, limits) for instruction in program)
    with simulate(config, small_model, context=CONTEXT, progress=SilentProgress()) as simulation:
        engine, device = simulation.engine, simulation.device
        region = engine.memory.regions["program"]
        legal = device.read_words(region.start, region.words)
        reference = feed(engine, PROMPT[0], 0).logits
        broken = set()
        for opcode, cases in ILLEGAL_VALUES.items():
            place = next(i for i, instruction in enumerate(program) if instruction.opcode is opcode)
            for field, value in cases:
                wrong = replace(program[place], **{field: value})
                broken.update((opcode, rule) for rule in broken_rules(wrong, limits))
                content = legal.copy()
                content[place * INSTRUCTION_BYTES :][:INSTRUCTION_BYTES] = np.frombuffer(wrong.encode(), np.uint8)
                device.write_words(region.start, content)
                with pytest.raises(AcceleratorError, match="illegal_instruction"):
                    feed(engine, PROMPT[0], 0)
                engine.reset()
        # ADD is no instruction of an engine without POST_NORM (tests/host/compiler/test_post_norms.py).
        assert broken == {(opcode, rule.doc) for rule in RULES for opcode in rule.opcodes if opcode is not Opcode.ADD}
        device.write_words(region.start, legal)
        np.testing.assert_array_equal(feed(engine, PROMPT[0], 0).logits, reference)


def test_smollm2_on_kv260_gives_the_golden_bits(smollm2):
    """Eight tokens of the real model on the default configuration: logits of every one."""
    model = LlamaModel.open(smollm2)
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
