"""From a request to an accelerator on a board that holds the model."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rtlm.gen.common.progress import Progress
from rtlm.host.boards.address import BoardAddress
from rtlm.host.boards.load import check_folder, packed, stored, write_memory
from rtlm.host.boards.probe import probe
from rtlm.host.boards.uart import open_uart
from rtlm.host.boards.uio import open_uio
from rtlm.host.boards.xdma import open_xdma
from rtlm.host.compiler.program import compile_model, program_crc
from rtlm.host.request import Request
from rtlm.host.runtime.engine import Engine

OPENERS = {"uio": open_uio, "xdma": open_xdma, "uart": open_uart}
"""What opens a board, by the scheme of its address."""


@contextmanager
def connect(request: Request, progress: Progress) -> Iterator[Engine]:
    """Open a board, load the model, and see that accelerator, memory and interrupt belong together.

    Parameters
    ----------
    request
        What is asked of which model; its backend names the board.
    progress
        Told what happens.

    Raises
    ------
    AcceleratorError, ImageError
        If the board is not that of the configuration, the image not that of the model, or something does not answer.
    """
    address = BoardAddress.parse(request.options.backend)
    params, context = request.plan.params, request.plan.context
    memory, program = compile_model(params, request.model, context=context)
    folder = None if address.image is None else Path(address.image)
    if folder is not None:
        check_folder(folder, request.config, request.path, memory, program, progress.stage)
    progress.stage(f"opening {address.name}")
    with OPENERS[address.scheme](address, params, memory.bytes) as device:
        device.control.check_identity()
        device.control.free()
        device.control.clear_done()
        pieces = stored(folder, device) if folder else packed(device, request.model, memory, program)
        write_memory(device, pieces, memory, progress.stage)
        progress.stage(f"trying {address.name}")
        probe(device, memory)
        yield Engine(
            device,
            params,
            memory,
            vocabulary=request.model.vocab,
            context=context,
            program_crc=program_crc(params, program),
        )
