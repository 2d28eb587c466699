"""What a board's memory holds before its first step: the image, of the model or of a folder, and zeros behind it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rtlm.gen.common.progress import Stage
from rtlm.gen.configuration.schema import Configuration
from rtlm.host.boards.device import BoardDevice
from rtlm.host.compiler.image import content_words, image_pieces, whole_stripes
from rtlm.host.compiler.image_check import check_configuration, check_length, check_model
from rtlm.host.compiler.image_folder import register_part
from rtlm.host.compiler.image_manifest import IMAGE, ImageManifest
from rtlm.host.compiler.layout import MemoryMap
from rtlm.host.errors import ImageMismatchError
from rtlm.host.models.model import LlamaModel
from rtlm.hw.control.isa import Instruction

TELL_S = 2.0
"""Seconds from which on it is said how long loading takes."""


def packed(
    device: BoardDevice, model: LlamaModel, memory: MemoryMap, program: list[Instruction]
) -> Iterator[NDArray[np.uint8]]:
    """Yield the image of a model as it lies in memory, packed piece by piece."""
    pieces = (piece.reshape(-1) for _, piece in image_pieces(device.params, model, memory, program))
    for linear in whole_stripes(pieces, device.striping.stripe_bytes):
        yield device.striping.scatter(linear)


def stored(folder: Path, device: BoardDevice) -> Iterator[NDArray[np.uint8]]:
    """Yield the image of a folder as it lies in memory."""
    size = max(1, device.memory.piece_bytes // device.striping.stripe_bytes) * device.striping.stripe_bytes
    with (folder / IMAGE).open("rb") as file:
        while raw := file.read(size):
            yield np.frombuffer(raw, np.uint8)


def check_folder(
    folder: Path,
    config: Configuration,
    model_file: Path,
    memory: MemoryMap,
    program: list[Instruction],
    progress: Stage,
) -> None:
    """Refuse an image that is not that of a model on an accelerator, before anything is written.

    Raises
    ------
    ImageError
        If there is none that can be read.
    ImageMismatchError
        Naming the first difference.
    """
    manifest = ImageManifest.read(folder)
    try:
        check_configuration(folder, manifest, config)
        check_model(folder, manifest, model_file, progress)
    except ImageMismatchError as error:
        raise ImageMismatchError(f"{error}; write the image anew with rtlm image") from None
    if manifest.registers != register_part(memory, program):
        raise ImageMismatchError(
            f"{folder} lies in memory otherwise than this rtlm lays the model out, for {manifest.model.context} "
            "positions; write the image anew with rtlm image, or give --context as it was then"
        )
    check_length(folder / IMAGE, manifest.memory.image_bytes)


def write_memory(device: BoardDevice, pieces: Iterator[NDArray[np.uint8]], memory: MemoryMap, progress: Stage) -> None:
    """Write an image to a board's memory, and zeros behind it: KV cache and results start as zeros.

    Parameters
    ----------
    device
        The board, whose accelerator is idle.
    pieces
        The image in the order of byte addresses.
    memory
        What lies where.
    progress
        Told what happens.
    """
    total, address = memory.bytes, 0
    image_bytes = content_words(memory) * memory.params.word_bytes
    seconds, at_once = device.memory.seconds(image_bytes), device.memory.piece_bytes
    stage = "loading the model" if seconds < TELL_S else f"loading the model, which takes about {_duration(seconds)}"
    for piece in pieces:
        for start in range(0, piece.size, at_once):
            part = piece[start : start + at_once]
            device.memory.write(address, part)
            address += part.size
            progress(stage, address >> 20, image_bytes >> 20)
    while address < total:
        size = min(at_once, total - address)
        device.memory.clear(address, size)
        address += size
        progress("clearing the KV cache", address >> 20, total >> 20)


def _duration(seconds: float) -> str:
    """Return a time in words."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} minutes"
