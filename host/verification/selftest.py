"""A self-test's content: a random toy model as memory image, the driver's register accesses, what must come out."""

import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rtlm.gen.common.errors import GenerateError
from rtlm.gen.configuration.schema import Configuration
from rtlm.host.compiler.image import build_image
from rtlm.host.compiler.layout import MemoryMap
from rtlm.host.compiler.plan import output_rows
from rtlm.host.compiler.program import compile_model, program_crc
from rtlm.host.golden.engine import GoldenEngine
from rtlm.host.golden.model import GoldenModel
from rtlm.host.models.model import LlamaModel
from rtlm.host.models.random_model import write_random_model
from rtlm.host.runtime.device import ColumnInput, StepResult
from rtlm.host.runtime.engine import Engine
from rtlm.host.verification.accelerator_bench import RecordingDevice
from rtlm.hw.board import Check, Kind, SelfTestParams
from rtlm.hw.control.isa import INSTRUCTION_BYTES
from rtlm.hw.params import AcceleratorParams
from rtlm.hw.registers import RegisterMap
from rtlm.hw.registers.accelerator import register_map

LAYERS = 2
"""Two, so that every bank and buffer is used again."""

HIDDEN_DIM = 128
VOCABULARY = 256
"""Sizes of the toy model at most; its heads are the configuration's."""

PROMPT = (72, 101, 108, 108)
GENERATED = 4
"""Tokens that are fed, and tokens that follow, each the model's own: 8 steps, the KV cache is written and read."""

STEP_CYCLES = 1 << 24
"""Cycles after which a step without an interrupt counts as failed, many times what one takes."""

SPOILED = "layer0.down"
"""Matrix of which a bit is inverted while the button for it is pressed: everything behind depends on it."""


@dataclass(frozen=True, kw_only=True)
class SelfTestCase:
    """A self-test, and what is known about it.

    Parameters
    ----------
    params
        What the gates are made of.
    tokens
        Tokens that are fed, then the last one that is expected.
    model
        Shape of the model, by names.
    image_bytes, memory_bytes
        Size of the image, and of the memory with KV cache and logits.
    """

    params: SelfTestParams
    tokens: tuple[int, ...]
    model: dict[str, int]
    image_bytes: int
    memory_bytes: int

    @property
    def facts(self) -> dict[str, Any]:
        """What is known beside the gates, for the manifest."""
        names = ("tokens", "model", "image_bytes", "memory_bytes")
        return {name: getattr(self, name) for name in names}


def make_case(config: Configuration, *, clock_hz: float, seed: int = 0) -> SelfTestCase:
    """Make a self-test for an accelerator.

    Parameters
    ----------
    config
        Its configuration: one memory port of 32 bits.
    clock_hz
        Clock of the board.
    seed
        Seed of the model's weights.

    Raises
    ------
    GenerateError
        If the configuration has no such port.
    """
    params = config.to_params()
    if (params.ports, params.port_bits) != (1, 32):
        raise GenerateError(
            f"A self-test has one memory of 32 bits, but configuration {config.name} has memory.ports = {params.ports} "
            f"of memory.port_bits = {params.port_bits}; add --set memory.ports=1 --set memory.port_bits=32."
        )
    context = min(16, params.context_limit)
    with tempfile.TemporaryDirectory() as folder:
        model = _toy_model(Path(folder) / "toy.gguf", params, context, seed)
        memory, program = compile_model(params, model, context=context)
        image = build_image(params, model, memory, program)
        inputs, results = _expected(params, model, context)
        shape = {name: getattr(model, name) for name in ("layers", "dim", "hidden_dim", "heads", "kv_heads", "vocab")}
    device = RecordingDevice(params, image)
    engine = Engine(
        device, params, memory, vocabulary=shape["vocab"], context=context, program_crc=program_crc(params, program)
    )
    rows = [*_patches(memory, image, len(program)), *_writes(device, register_map(params.columns))]
    for column, result in zip(inputs, results, strict=True):
        engine.step([column], read_logits=True)
        rows += [*_writes(device, register_map(params.columns)), *_checks(params, memory, result)]
    return SelfTestCase(
        params=SelfTestParams(
            accelerator=params,
            clock_hz=clock_hz,
            content=image.reshape(-1).view("<u4").tolist(),
            depth=memory.beats,
            digest_from=memory.address("logits"),
            rows=[*rows, Check(kind=Kind.END, meaning="every value was as expected")],
        ),
        tokens=(*(column.token for column in inputs), _best(results[-1])),
        model=shape,
        image_bytes=image.size,
        memory_bytes=memory.words * params.word_bytes,
    )


def _toy_model(path: Path, params: AcceleratorParams, context: int, seed: int) -> LlamaModel:
    """Write a random model with the configuration's heads."""
    write_random_model(
        path,
        seed=seed,
        layers=LAYERS,
        dim=params.heads * params.head_dim,
        hidden_dim=min(HIDDEN_DIM, params.hidden_dim),
        heads=params.heads,
        kv_heads=params.kv_heads,
        vocab=min(VOCABULARY, params.vocabulary),
        context=context,
    )
    return LlamaModel.open(path)


def _best(result: StepResult) -> int:
    """Return the arg-max of a step of one column."""
    assert result.best is not None
    return result.best[0]


def _expected(params: AcceleratorParams, model: LlamaModel, context: int) -> tuple[list[ColumnInput], list[StepResult]]:
    """Run the golden model: what is fed in each step, and what comes of it."""
    golden = GoldenEngine(GoldenModel(model, kv_bits=params.kv_bits), context=context)
    inputs: list[ColumnInput] = []
    results: list[StepResult] = []
    for position in range(len(PROMPT) + GENERATED):
        token = PROMPT[position] % model.vocab if position < len(PROMPT) else _best(results[-1])
        inputs.append(ColumnInput(token=token, position=position, history=position, local_first=0, slot=0))
        results.append(golden.step([inputs[-1]], read_logits=True))
    return inputs, results


def _patches(memory: MemoryMap, image: NDArray[np.uint8], instructions: int) -> list[Check]:
    """Write two beats again as they are in the image: here the test can be made to fail."""
    beats, program = memory.params.beats_per_word, memory.address("program")
    places = {
        # The first word of a matrix holds scales, the second one weights.
        f"weights of {SPOILED}": memory.address(SPOILED) + beats,
        # The last field of END, which nothing looks at but the check of the program.
        "end of the program": program + instructions * INSTRUCTION_BYTES // memory.params.port_bytes - 1,
    }
    content = image.reshape(-1).view("<u4")
    return [
        Check(kind=Kind.PATCH, address=beat, value=int(content[beat]), corruption=n, meaning=meaning)
        for n, (meaning, beat) in enumerate(places.items())
    ]


def _writes(device: RecordingDevice, registers: RegisterMap) -> list[Check]:
    """Return what the driver has written to registers since the last call."""
    names = {offset: register.name for register in registers.registers for offset in register.offsets}
    return [
        Check(kind=Kind.WRITE, address=address, value=value, meaning=f"{names[address]} = {value:#x}")
        for address, value in device.take()
    ]


def _checks(params: AcceleratorParams, memory: MemoryMap, result: StepResult) -> list[Check]:
    """Return what has to hold behind a step; the token comes last, where the message takes it from."""
    assert result.logits is not None
    registers, best = register_map(params.columns), _best(result)
    logits = result.logits[0].astype("<f4")
    # The rows behind the vocabulary repeat that of the last token.
    stored = np.pad(logits, (0, output_rows(params, len(logits)) - len(logits)), mode="edge")
    written = stored.tobytes().ljust(memory.regions["logits"].words * params.word_bytes, b"\0")
    largest = int(logits[best : best + 1].view("<u4")[0])

    def check(kind: Kind, register: str, value: int, meaning: str) -> Check:
        return Check(kind=kind, address=registers.address(register), value=value, meaning=meaning)

    return [
        Check(kind=Kind.AWAIT, value=STEP_CYCLES, meaning="end of the step"),
        check(Kind.ERROR, "ERROR", 0, "no error"),
        check(Kind.ADD, "CYCLES", 0, "cycles of the step"),
        Check(kind=Kind.DIGEST, value=zlib.crc32(written), meaning=f"CRC-32 of {len(logits)} logits"),
        check(Kind.EXPECT, "BEST_VALUE", largest, "largest logit"),
        check(Kind.EXPECT, "BEST", best, "arg-max token"),
    ]
