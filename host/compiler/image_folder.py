"""Writes the folder that a board is loaded from: memory image, program, manifest; with bounded memory, whole or not."""

import hashlib
import os
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rtlm import hw
from rtlm.gen.common.cache import source_key
from rtlm.gen.common.installation import package_version
from rtlm.gen.common.progress import Stage, no_stage
from rtlm.gen.configuration.schema import Configuration, config_hash
from rtlm.host import compiler, models
from rtlm.host.compiler import image_manifest as parts
from rtlm.host.compiler.fit import check_config
from rtlm.host.compiler.image import STARTS_AS_ZEROS, content_words, image_pieces, whole_stripes
from rtlm.host.compiler.image_manifest import IMAGE, MANIFEST, PROGRAM, FilePart, ImageManifest, is_image_folder
from rtlm.host.compiler.layout import MemoryMap, striping_of
from rtlm.host.compiler.program import compile_model, program_bytes, program_crc
from rtlm.host.errors import ImageError, ModelError
from rtlm.host.models.model import LlamaModel
from rtlm.host.models.stored import ModelShape
from rtlm.hw.control.isa import Instruction
from rtlm.hw.params import AcceleratorParams

HASH_CHUNK = 1 << 22
"""Bytes of a file that are hashed at once."""


def write_image(
    config: Configuration,
    model_file: Path,
    folder: Path,
    *,
    context: int | None = None,
    verilog_sha256: str | None = None,
    progress: Stage = no_stage,
) -> ImageManifest:
    """Write the folder of a model's image; one that is there is replaced when the new one is whole.

    One that the same source made of the same model, configuration and context, and whose files are whole, is kept.

    Parameters
    ----------
    config
        Configuration of the accelerator.
    model_file
        The GGUF file.
    folder
        Where the files go.
    context
        Positions for which RoPE tables are stored; None for all that model and accelerator have.
    verilog_sha256
        Hash of the accelerator's Verilog where it is known, for the manifest.
    progress
        Told what happens.

    Raises
    ------
    ImageError
        If the folder holds other files, is too full, or cannot be written.
    ModelError
        If the model cannot be read or does not fit the accelerator.
    """
    folder = Path(os.path.abspath(folder))
    _check_folder(folder)
    params = config.to_params()
    model = LlamaModel.open(model_file)
    context = min(model.context, params.context_limit) if context is None else context
    try:
        memory, program = compile_model(params, model, context=context)
    except ModelError:
        check_config(config, ModelShape.of(model))
        raise
    of_model = parts.ModelPart(
        file=model_file.name,
        bytes=model_file.stat().st_size,
        sha256=file_sha256(model_file, "hashing the model file", progress),
        layers=model.layers,
        vocabulary=model.vocab,
        context=context,
    )
    of_configuration = parts.ConfigurationPart(
        name=config.name,
        hash=config_hash(config),
        verilog_sha256=verilog_sha256,
        values=config.model_dump(mode="json"),
    )
    packer = source_key((hw, compiler, models))
    if earlier := _earlier_image(folder, (packer, of_model, of_configuration), progress):
        return earlier
    _check_space(folder, content_words(memory) * params.word_bytes)
    with _replacing(folder) as unfinished:
        image, checks = _write_image(unfinished / IMAGE, params, model, memory, program, progress)
        manifest = ImageManifest(
            rtlm=package_version("rtlm") or "",
            packer=packer,
            model=of_model,
            configuration=of_configuration,
            memory=_memory_part(memory, image.bytes),
            registers=register_part(memory, program),
            regions=tuple(
                parts.RegionPart(
                    name=region.name,
                    purpose=region.purpose,
                    first_beat=memory.address(region.name),
                    beats=region.words * params.beats_per_word,
                    crc32=None if region.purpose in STARTS_AS_ZEROS else f"{checks[region.name]:08x}",
                )
                for region in memory.regions.values()
            ),
            files={IMAGE: image, PROGRAM: _write_program(unfinished / PROGRAM, params, program)},
        )
        (unfinished / MANIFEST).write_text(manifest.dumps(), encoding="utf-8")
    return manifest


def _earlier_image(
    folder: Path, wanted: tuple[str, parts.ModelPart, parts.ConfigurationPart], progress: Stage
) -> ImageManifest | None:
    """Return the manifest of the folder's image if it was made in the same way and its files are whole."""
    try:
        manifest = ImageManifest.read(folder)
        if (manifest.packer, manifest.model, manifest.configuration) != wanted:
            return None
        for name in (IMAGE, PROGRAM):
            if file_sha256(folder / name, "hashing the earlier image", progress) != manifest.files[name].sha256:
                return None
    except (ImageError, KeyError):
        return None
    return manifest


def file_sha256(path: Path, stage: str, progress: Stage = no_stage) -> str:
    """Return the SHA-256 of a file, which is read piece by piece.

    Raises
    ------
    ImageError
        If it cannot be read.
    """
    digest, done = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            total = os.fstat(file.fileno()).st_size
            while chunk := file.read(HASH_CHUNK):
                digest.update(chunk)
                done += len(chunk)
                progress(stage, done >> 20, total >> 20)
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror}") from None
    return digest.hexdigest()


def _memory_part(memory: MemoryMap, image_bytes: int) -> parts.MemoryPart:
    params, striping = memory.params, striping_of(memory.params)
    return parts.MemoryPart(
        ports=params.ports,
        port_bytes=params.port_bytes,
        stripe_bytes=striping.stripe_bytes,
        word_bytes=params.word_bytes,
        image_bytes=image_bytes,
        zero_bytes=memory.bytes - image_bytes,
        total_bytes=memory.bytes,
    )


def register_part(memory: MemoryMap, program: list[Instruction]) -> parts.RegisterPart:
    """Return what a driver writes to the registers that say where things lie."""
    return parts.RegisterPart(
        PROGRAM_BASE=memory.address("program"),
        PROGRAM_WORDS=memory.regions["program"].words,
        PROGRAM_CRC=program_crc(memory.params, program),
        LIMIT=memory.beats,
        KV_BASE=tuple(memory.address(f"kv{slot}") for slot in range(memory.params.columns)),
    )


def _write_program(path: Path, params: AcceleratorParams, program: list[Instruction]) -> FilePart:
    """Write the program as it lies in the image."""
    raw = program_bytes(params, program)
    path.write_bytes(raw)
    return FilePart(bytes=len(raw), sha256=hashlib.sha256(raw).hexdigest())


def _write_image(
    path: Path,
    params: AcceleratorParams,
    model: LlamaModel,
    memory: MemoryMap,
    program: list[Instruction],
    progress: Stage,
) -> tuple[FilePart, dict[str, int]]:
    """Write the image in the order of byte addresses; return the file and the CRC of each region's linear bytes."""
    striping = striping_of(params)
    checks: dict[str, int] = {}
    total = content_words(memory) * params.word_bytes

    def pieces() -> Iterator[NDArray[np.uint8]]:
        done = 0
        for region, piece in image_pieces(params, model, memory, program):
            checks[region.name] = zlib.crc32(piece.data, checks.get(region.name, 0))
            done += piece.size
            progress("packing the model", done >> 20, total >> 20)
            yield piece.reshape(-1)

    digest, size = hashlib.sha256(), 0
    with path.open("wb") as file:
        for linear in whole_stripes(pieces(), striping.stripe_bytes):
            physical = striping.scatter(linear)
            file.write(physical.data)
            digest.update(physical.data)
            size += physical.size
    return FilePart(bytes=size, sha256=digest.hexdigest()), checks


def _check_folder(folder: Path) -> None:
    """Refuse a folder that may not be replaced."""
    if folder.is_dir() and any(folder.iterdir()) and not is_image_folder(folder):
        raise ImageError(f"the folder {folder} holds files that rtlm image did not write; name another one")


def _check_space(folder: Path, needed: int) -> None:
    """Refuse a disk that is too full before work of minutes, not after."""
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise ImageError(f"the image takes {needed:,} bytes, but the disk of {folder} has {free:,} left")


@contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """Give a new folder that takes another one's place when all is well, and goes away when not."""
    unfinished, old = (folder.with_name(f".{folder.name}.{kind}-{os.getpid()}") for kind in ("unfinished", "old"))
    try:
        try:
            unfinished.mkdir(parents=True)
            yield unfinished
            if folder.is_dir():
                folder.rename(old)
            unfinished.rename(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
            if old.is_dir():
                if folder.is_dir():
                    shutil.rmtree(old, ignore_errors=True)
                else:
                    old.rename(folder)
    except OSError as error:
        raise ImageError(f"the image could not be written to {folder}: {error.strerror or error}") from error
