"""Compares a folder that `rtlm image` wrote with its manifest, and with a model and a configuration."""

import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rtlm.gen.common.progress import Stage, no_stage
from rtlm.gen.configuration.load import default_values, validate
from rtlm.gen.configuration.schema import Configuration, config_hash
from rtlm.host.compiler.header import HEADER_WORDS, ImageHeader
from rtlm.host.compiler.image_folder import file_sha256
from rtlm.host.compiler.image_manifest import IMAGE, MANIFEST, PROGRAM, ImageManifest
from rtlm.host.compiler.layout import striping_of
from rtlm.host.errors import AcceleratorError, ImageError, ImageMismatchError
from rtlm.hw.params import AcceleratorParams

READ_BYTES = 1 << 22
"""Bytes of the image that are read at once, about."""


def check_image_folder(
    folder: Path,
    *,
    config: Configuration | None = None,
    model_file: Path | None = None,
    progress: Stage = no_stage,
) -> ImageManifest:
    """Check that a folder is what its manifest says, and return that.

    Parameters
    ----------
    folder
        The folder.
    config
        What the image has to be for; None for any accelerator.
    model_file
        What it has to be made from; None for any model.
    progress
        Told what happens.

    Raises
    ------
    ImageError
        If the folder or its manifest cannot be read.
    ImageMismatchError
        Naming the first difference.
    """
    manifest = ImageManifest.read(folder)
    params = _params(folder, manifest)
    if config is not None:
        check_configuration(folder, manifest, config)
    if model_file is not None:
        check_model(folder, manifest, model_file, progress)
    _check_lengths(folder, manifest)
    try:
        _check_header(folder / IMAGE, manifest, params)
        _check_program(folder / PROGRAM, manifest)
        _check_regions(folder / IMAGE, manifest, params, progress)
    except OSError as error:
        raise ImageError(f"{error.filename or folder} cannot be read: {error.strerror}") from None
    return manifest


def check_configuration(folder: Path, manifest: ImageManifest, config: Configuration) -> None:
    """Raise an `ImageMismatchError` if an image is for another configuration."""
    stated = manifest.configuration
    if (actual := config_hash(config)) != stated.hash:
        raise ImageMismatchError(
            f"{folder} is for configuration {stated.hash} ({stated.name}), but {config.name} is {actual}"
        )


def check_model(folder: Path, manifest: ImageManifest, model_file: Path, progress: Stage = no_stage) -> None:
    """Raise an `ImageMismatchError` if an image was made from another file."""
    stated = manifest.model
    if (actual := file_sha256(model_file, "hashing the model file", progress)) != stated.sha256:
        raise ImageMismatchError(
            f"{folder} was made from another file, {stated.file} with SHA-256 {stated.sha256}, but {model_file} has "
            f"{actual}"
        )


def check_length(path: Path, stated: int) -> None:
    """Raise an `ImageMismatchError` if a file has not as many bytes as the manifest states."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ImageMismatchError(f"{path} cannot be read: {error.strerror}") from None
    if size != stated:
        raise ImageMismatchError(f"{path} has {size} bytes; the manifest states {stated}")


def _params(folder: Path, manifest: ImageManifest) -> AcceleratorParams:
    """Return the sizes of the manifest's accelerator, or refuse a configuration that does not have its hash."""
    stated = manifest.configuration
    config = validate(stated.values, default_values(), str(folder / MANIFEST))
    if (actual := config_hash(config)) != stated.hash:
        raise ImageMismatchError(
            f"{folder / MANIFEST} states configuration {stated.hash}, but its values are those of {actual}"
        )
    return config.to_params()


def _check_lengths(folder: Path, manifest: ImageManifest) -> None:
    if manifest.files.keys() != {IMAGE, PROGRAM}:
        raise ImageMismatchError(
            f"{folder / MANIFEST} must name the files {IMAGE} and {PROGRAM}, got {', '.join(manifest.files)}"
        )
    for name, file in manifest.files.items():
        check_length(folder / name, file.bytes)


def _check_header(path: Path, manifest: ImageManifest, params: AcceleratorParams) -> None:
    """Check the header in the image against accelerator and manifest."""
    linear = next(_linear(path, params, HEADER_WORDS * params.word_bytes))
    try:
        header = ImageHeader.parse(linear)
        header.check(params)
    except AcceleratorError as error:
        raise ImageMismatchError(f"{path}: {error}") from None
    registers = manifest.registers
    for what, actual, stated in (
        ("beats in all", header.words * params.beats_per_word, registers.LIMIT),
        ("as first beat of the program", header.program_start * params.beats_per_word, registers.PROGRAM_BASE),
        ("words of program", header.program_words, registers.PROGRAM_WORDS),
    ):
        if actual != stated:
            raise ImageMismatchError(f"{path}: the header states {actual} {what}, the manifest {stated}")


def _check_program(path: Path, manifest: ImageManifest) -> None:
    raw = path.read_bytes()
    if (actual := hashlib.sha256(raw).hexdigest()) != (stated := manifest.files[PROGRAM].sha256):
        raise ImageMismatchError(f"{path} has SHA-256 {actual}; the manifest states {stated}")
    if (check := zlib.crc32(raw)) != manifest.registers.PROGRAM_CRC:
        raise ImageMismatchError(
            f"{path} has CRC-32 {check:#010x}; the manifest states {manifest.registers.PROGRAM_CRC:#010x}"
        )


def _check_regions(path: Path, manifest: ImageManifest, params: AcceleratorParams, progress: Stage) -> None:
    """Compare each region in the image with its CRC, then the file with its hash."""
    digest = hashlib.sha256()
    chunks = _linear(path, params, READ_BYTES, digest)
    rest = np.empty(0, np.uint8)
    done = 0
    for region in manifest.regions:
        if region.crc32 is None:
            break
        if region.first_beat * params.beat_bytes != done:
            raise ImageMismatchError(
                f"{path.with_name(MANIFEST)}: {region.name} must begin at beat {done // params.beat_bytes}, where the "
                f"region before it ends, got {region.first_beat}"
            )
        missing, check = region.beats * params.beat_bytes, 0
        while missing:
            if not rest.size:
                rest = next(chunks, rest)
                progress("checking the image", done >> 20, manifest.memory.image_bytes >> 20)
            if not rest.size:
                raise ImageMismatchError(f"{path} ends inside {region.name}, {missing} bytes before its end")
            taken, rest = rest[:missing], rest[missing:]
            check = zlib.crc32(np.ascontiguousarray(taken).data, check)
            missing -= taken.size
            done += taken.size
        if f"{check:08x}" != region.crc32:
            raise ImageMismatchError(
                f"{path}: {region.name} has CRC-32 {check:08x}; the manifest states {region.crc32}"
            )
    for _ in chunks:
        pass
    if (actual := digest.hexdigest()) != (stated := manifest.files[IMAGE].sha256):
        raise ImageMismatchError(
            f"{path} has SHA-256 {actual}, the manifest states {stated}: it differs behind its last region"
        )


def _linear(
    path: Path, params: AcceleratorParams, size: int, digest: "hashlib._Hash | None" = None
) -> Iterator[NDArray[np.uint8]]:
    """Read an image in parts of about `size` bytes, each whole stripes; yield their bytes in linear order."""
    striping = striping_of(params)
    stripes = -(-size // striping.stripe_bytes)
    with path.open("rb") as file:
        while raw := file.read(stripes * striping.stripe_bytes):
            if digest is not None:
                digest.update(raw)
            if len(raw) % striping.stripe_bytes:
                raise ImageMismatchError(f"{path} does not consist of stripes of {striping.stripe_bytes} bytes")
            yield striping.gather(np.frombuffer(raw, np.uint8))
