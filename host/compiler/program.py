"""The accelerator's program: the plan's instructions, with the addresses of the regions that they read and write."""

import zlib
from dataclasses import replace

from rtlm.host.compiler.layout import MemoryMap, memory_map
from rtlm.host.compiler.plan import make_plan
from rtlm.host.models.model import LlamaModel
from rtlm.host.models.stored import ModelShape
from rtlm.hw.control.isa import Instruction, assemble
from rtlm.hw.params import AcceleratorParams


def program_bytes(params: AcceleratorParams, program: list[Instruction]) -> bytes:
    """Return a program as it lies in memory, filled up to whole words."""
    raw = assemble(program).tobytes()
    return raw + bytes(-len(raw) % params.word_bytes)


def program_crc(params: AcceleratorParams, program: list[Instruction]) -> int:
    """Return the CRC-32 of a program's words, by which the accelerator knows that it fetched what was compiled."""
    return zlib.crc32(program_bytes(params, program))


def write_program(memory: MemoryMap) -> list[Instruction]:
    """Return the program of a memory map's plan, which runs once for each step."""
    program = []
    for planned in memory.plan.instructions:
        instruction = planned.instruction
        if planned.reads:
            instruction = replace(instruction, address=memory.address(planned.reads.name))
        if planned.writes:
            instruction = replace(instruction, aux=memory.address(planned.writes.name))
        program.append(instruction)
    return program


def compile_model(params: AcceleratorParams, model: LlamaModel, *, context: int) -> tuple[MemoryMap, list[Instruction]]:
    """Lay a model out and write its program.

    Parameters
    ----------
    params
        The accelerator.
    model
        The model.
    context
        Positions for which RoPE tables are stored.

    Raises
    ------
    ModelError
        If the model does not fit.
    """
    memory = memory_map(make_plan(params, ModelShape.of(model), context=context))
    return memory, write_program(memory)
