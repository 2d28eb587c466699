"""Decoding steps through a simulated board's top with its SDRAM, beside the golden model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rtlm.gen.common.progress import Stage, no_stage
from rtlm.gen.configuration.schema import Configuration
from rtlm.host.compiler.image import build_image
from rtlm.host.compiler.program import compile_model, program_crc
from rtlm.host.golden.engine import GoldenEngine
from rtlm.host.golden.model import GoldenModel
from rtlm.host.models.model import LlamaModel
from rtlm.host.runtime.device import ColumnInput
from rtlm.host.runtime.engine import Engine
from rtlm.host.verification.sdram_board import simulated_board, write_image
from rtlm.hw.registers.accelerator import register_map


@dataclass(frozen=True, kw_only=True)
class Step:
    """What came of a step.

    Parameters
    ----------
    cycles
        Of the accelerator.
    agrees
        Whether token and all logits are the golden model's.
    """

    cycles: int
    agrees: bool


def decode(
    config: Configuration,
    model: LlamaModel,
    *,
    context: int,
    tokens: Sequence[int],
    folder: Path | None = None,
    progress: Stage = no_stage,
) -> list[Step]:
    """Feed tokens to a model on a simulated board, and to the golden model.

    Parameters
    ----------
    config, model
        Configuration of the accelerator, and the model.
    context
        Positions for which RoPE tables are stored.
    tokens
        What is fed, from position 0 on.
    folder
        The working directory, if the image is to be in the memory when the simulation begins, for large models; else it
        goes over the serial line.
    progress
        Told what happens.
    """
    params = config.to_params()
    memory, program = compile_model(params, model, context=context)
    image = build_image(params, model, memory, program)
    golden = GoldenEngine(GoldenModel(model, kv_bits=params.kv_bits), context=context)
    crc = program_crc(params, program)
    if folder is not None:
        write_image(folder, image)
    steps = []
    with simulated_board(config, progress=progress) as device:
        if folder is None:
            progress("loading the model over the serial line")
            device.write_words(0, image.reshape(-1))
        engine = Engine(device, params, memory, vocabulary=model.vocab, context=context, program_crc=crc)
        for position, token in enumerate(tokens):
            column = ColumnInput(token=token, position=position, history=position, local_first=0, slot=0)
            progress(f"token {position + 1} of {len(tokens)}")
            found, expected = (each.step([column], read_logits=True) for each in (engine, golden))
            cycles = device.read_register(register_map(params.columns).address("CYCLES"))
            assert found.logits is not None and expected.logits is not None
            same = found.best == expected.best and np.array_equal(found.logits, expected.logits)
            steps.append(Step(cycles=cycles, agrees=bool(same)))
    return steps
