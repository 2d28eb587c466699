"""A step that does nothing, before the first that counts: do accelerator, memory and interrupt belong together."""

import numpy as np
from rtlm.host.boards.device import BoardDevice
from rtlm.host.compiler.layout import MemoryMap
from rtlm.host.compiler.program import program_bytes, program_crc
from rtlm.host.errors import AcceleratorError
from rtlm.hw.control.isa import Instruction, Opcode

FIRST_SLOT = "kv0"
"""Region that starts as zeros and has a word for a program."""


def probe(device: BoardDevice, memory: MemoryMap) -> None:
    """Run a program that only ends, written where the KV cache begins, which is zeros again afterwards.

    Its checksum is compared by the accelerator: it tells whether the accelerator reads what the driver writes. LIMIT
    keeps it from touching anything behind the program, whatever memory it reads.

    Parameters
    ----------
    device
        The board, whose accelerator is idle.
    memory
        What lies where.

    Raises
    ------
    AcceleratorError
        If the accelerator reads another memory, or the step does not end as it should.
    """
    params, region = device.params, memory.regions[FIRST_SLOT]
    program = [Instruction(opcode=Opcode.END)]
    content = np.frombuffer(program_bytes(params, program), np.uint8)
    device.write_words(region.start, content)
    write = device.control.registers.write
    address = memory.address(FIRST_SLOT)
    words = content.size // params.word_bytes
    for name, value in (
        ("PROGRAM_BASE", address),
        ("PROGRAM_WORDS", words),
        ("PROGRAM_CRC", program_crc(params, program)),
        ("LIMIT", address + words * params.beats_per_word),
        ("COLUMNS", 1),
        ("TOKEN", 0),
        ("POSITION", 0),
        ("HISTORY", 0),
        ("LOCAL_FIRST", 0),
        ("KV_BASE", 0),
    ):
        write(name, value)
    control = device.control.registers.registers["CONTROL"]
    write("CONTROL", control.encode(start=1, no_logits=1))
    device.run()
    try:
        device.control.check_error()
    except AcceleratorError as error:
        device.control.reset()
        raise AcceleratorError(
            f"the accelerator does not read what is written to the memory of {device.name}: its byte address 0 must be "
            f"where that begins (base= behind the board's address), got {str(error).partition(':')[0]}"
        ) from None
    device.write_words(region.start, np.zeros_like(content))
