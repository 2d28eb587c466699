"""Image folders: the bytes that a simulator loads, whole or not at all, with bounded memory, and checked."""

import json
import resource
import shutil
import tracemalloc
import types

import numpy as np
import pytest
from rtlm.gen.configuration.load import load_config
from rtlm.gen.configuration.schema import config_hash
from rtlm.host.compiler import image as image_module
from rtlm.host.compiler import image_check, image_folder
from rtlm.host.compiler.image import build_image
from rtlm.host.compiler.image_check import check_image_folder
from rtlm.host.compiler.image_folder import write_image
from rtlm.host.compiler.image_manifest import IMAGE, MANIFEST, PROGRAM, ImageManifest
from rtlm.host.compiler.layout import striping_of
from rtlm.host.compiler.program import compile_model, program_crc
from rtlm.host.errors import ImageError, ImageMismatchError, ModelError
from rtlm.host.models.model import LlamaModel
from rtlm.host.runtime.simulated_device import SimulatedDevice
from rtlm.hw.control.isa import assemble

from tests.host.small_models import ARRAYS, MIXED, SIZES

CONTEXT = 50


class Memory:
    """Stands for the simulator's memory."""

    def __init__(self, size):
        self.bytes = np.zeros(size, np.uint8)

    def write(self, address, content):
        self.bytes[address : address + content.size] = content.reshape(-1)

    def read(self, address, size):
        return self.bytes[address : address + size].copy()


@pytest.fixture(scope="module")
def config():
    return load_config("tiny")


@pytest.fixture(scope="module")
def model_file(random_model):
    return random_model(**SIZES)


@pytest.fixture(scope="module")
def made(config, model_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("image") / "image"
    write_image(config, model_file, folder, context=CONTEXT)
    return folder


@pytest.fixture
def folder(made, tmp_path):
    """A copy that may be damaged."""
    return shutil.copytree(made, tmp_path / "image")


@pytest.mark.parametrize("weights", [image_module.PIECE_WEIGHTS, 4096])
@pytest.mark.parametrize("name", ARRAYS)
def test_image_is_what_the_simulator_loads(random_model, tmp_path, monkeypatch, name, weights):
    config = load_config("tiny", ARRAYS[name])
    params = config.to_params()
    path = random_model(**SIZES | MIXED)
    model = LlamaModel.open(path)
    memory, program = compile_model(params, model, context=CONTEXT)
    device = SimulatedDevice(Memory(memory.bytes), params)
    device.load(build_image(params, model, memory, program))
    monkeypatch.setattr(image_module, "PIECE_WEIGHTS", weights)
    manifest = write_image(config, path, tmp_path / "image", context=CONTEXT)
    raw = (tmp_path / "image" / IMAGE).read_bytes()
    assert raw == device.model.bytes[: len(raw)].tobytes()
    assert not device.model.bytes[len(raw) :].any()
    assert manifest.memory.total_bytes == device.model.bytes.size == len(raw) + manifest.memory.zero_bytes
    assert manifest.memory.ports == params.ports and len(raw) % manifest.memory.stripe_bytes == 0
    assembled = assemble(program).tobytes()
    assert (tmp_path / "image" / PROGRAM).read_bytes().rstrip(b"\0") == assembled.rstrip(b"\0")
    assert program_crc(params, program) == manifest.registers.PROGRAM_CRC
    assert memory.address("program") == manifest.registers.PROGRAM_BASE
    assert memory.beats == manifest.registers.LIMIT
    assert tuple(memory.address(f"kv{slot}") for slot in range(params.columns)) == manifest.registers.KV_BASE
    assert check_image_folder(tmp_path / "image", config=config, model_file=path) == manifest


def test_the_context_is_all_of_model_and_accelerator_unless_said(config, model_file, random_model, tmp_path):
    assert write_image(config, model_file, tmp_path / "a").model.context == LlamaModel.open(model_file).context
    long = random_model(**SIZES, context=4096)
    assert write_image(config, long, tmp_path / "b").model.context == config.attention.context_limit
    with pytest.raises(ModelError, match="1 to 256 positions in configuration tiny, got 257"):
        write_image(config, long, tmp_path / "c", context=257)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_manifest_is_read_back_and_names_model_and_accelerator(made, config, model_file):
    manifest = ImageManifest.read(made)
    assert manifest.configuration.hash == config_hash(config)
    assert manifest.model.bytes == model_file.stat().st_size
    assert {path.name for path in made.iterdir()} == {*manifest.files, MANIFEST}


def test_every_flipped_byte_is_found_and_its_region_named(made, folder, config, seed):
    raw = bytearray((folder / IMAGE).read_bytes())
    manifest, params = ImageManifest.read(made), config.to_params()
    striping = striping_of(params)
    regions = [region for region in manifest.regions if region.crc32 is not None]
    random = np.random.default_rng(seed)
    for region in regions:
        beat = region.first_beat + int(random.integers(region.beats))
        place = striping.byte_address(beat, int(random.integers(params.ports))) + int(
            random.integers(params.port_bytes)
        )
        damaged = bytearray(raw)
        damaged[place] ^= 1 << int(random.integers(8))
        (folder / IMAGE).write_bytes(damaged)
        with pytest.raises(ImageMismatchError) as caught:
            check_image_folder(folder)
        assert region.name in str(caught.value), (region.name, place)
    raw[-1] ^= 1
    (folder / IMAGE).write_bytes(raw)
    with pytest.raises(ImageMismatchError, match="it differs behind its last region"):
        check_image_folder(folder)


@pytest.mark.parametrize(
    ("place", "sentence"),
    [(0, "must start with"), (8, "must have version 2, got"), (17, "header is damaged: its checksum is")],
)
def test_header_is_named_first(folder, place, sentence):
    with (folder / IMAGE).open("r+b") as file:
        file.seek(place)
        value = file.read(1)[0]
        file.seek(place)
        file.write(bytes([value ^ 1]))
    with pytest.raises(ImageMismatchError, match=sentence):
        check_image_folder(folder)


def test_truncated_and_missing_files_are_refused(folder):
    (folder / PROGRAM).write_bytes((folder / PROGRAM).read_bytes()[:-1])
    with pytest.raises(ImageMismatchError, match=r"program\.bin has \d+ bytes; the manifest states \d+"):
        check_image_folder(folder)
    (folder / PROGRAM).unlink()
    with pytest.raises(ImageMismatchError, match=r"program\.bin cannot be read: No such file"):
        check_image_folder(folder)


def test_truncated_image_is_refused(folder):
    (folder / IMAGE).write_bytes((folder / IMAGE).read_bytes()[:-5])
    with pytest.raises(ImageMismatchError, match=r"image\.bin has \d+ bytes; the manifest states"):
        check_image_folder(folder)


def test_flipped_byte_of_the_program_is_refused(folder):
    raw = bytearray((folder / PROGRAM).read_bytes())
    raw[40] ^= 4
    (folder / PROGRAM).write_bytes(raw)
    with pytest.raises(ImageMismatchError, match=r"program\.bin has SHA-256"):
        check_image_folder(folder)


def test_manifest_of_another_model_is_refused(folder, config, random_model, tmp_path):
    write_image(config, random_model(**SIZES, seed=5), tmp_path / "other", context=CONTEXT)
    shutil.copy(tmp_path / "other" / MANIFEST, folder / MANIFEST)
    with pytest.raises(ImageMismatchError, match=r"image\.bin: embedding has CRC-32"):
        check_image_folder(folder)


def test_manifest_of_another_accelerator_is_refused(folder, model_file, tmp_path):
    other = load_config("tiny", ["memory.outstanding=4"])
    write_image(other, model_file, tmp_path / "other", context=CONTEXT)
    shutil.copy(tmp_path / "other" / MANIFEST, folder / MANIFEST)
    with pytest.raises(ImageMismatchError, match=r"is for configuration .*, but the accelerator was built from"):
        check_image_folder(folder)


@pytest.mark.parametrize(
    ("text", "error", "sentence"),
    [
        ("[]", ImageError, r"must have the format 'rtlm memory image', got \[\]"),
        ('{"generator": "rtlm", "files": []}', ImageError, "must have the format"),
        ("{", ImageError, "must be JSON"),
        ("[" * 100_000, ImageError, "must be JSON"),
        ('{"format": "rtlm memory image", "version": 9}', ImageError, "must have version 1, got 9"),
        ('{"format": "rtlm memory image", "version": 1}', ImageMismatchError, "was changed"),
    ],
)
def test_foreign_manifest_is_refused(folder, text, error, sentence):
    (folder / MANIFEST).write_text(text)
    with pytest.raises(error, match=sentence):
        check_image_folder(folder)


def test_changed_manifest_is_refused(folder):
    text = (folder / MANIFEST).read_text()
    values = json.loads(text)
    values["registers"]["LIMIT"] += 1
    (folder / MANIFEST).write_text(json.dumps(values))
    with pytest.raises(ImageMismatchError, match="was changed: its checksum is"):
        check_image_folder(folder)


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"registers": {"LIMIT": 7}}, ImageMismatchError, r"the header states \d+ beats in all, the manifest 7"),
        ({"registers": {"LIMIT": "7"}}, ImageError, r"registers\.LIMIT is not as rtlm image writes it"),
        ({"configuration": {"hash": "0" * 16}}, ImageMismatchError, "but its values are those of"),
        ({"files": {"../x": {"bytes": 0, "sha256": ""}}}, ImageMismatchError, "must name the files"),
    ],
)
def test_manifest_with_its_own_checksum_is_compared_too(folder, change, error, sentence):
    from rtlm.host.compiler.image_manifest import _checksum

    values = json.loads((folder / MANIFEST).read_text())
    del values["checksum"]
    for section, entries in change.items():
        values[section] |= entries
    (folder / MANIFEST).write_text(json.dumps(values | {"checksum": _checksum(values)}))
    with pytest.raises(error, match=sentence):
        check_image_folder(folder)


def test_stale_images_are_refused(folder, config, random_model):
    with pytest.raises(ImageMismatchError, match=r"is for configuration \w+ \(tiny\), but tiny is \w+"):
        check_image_folder(folder, config=load_config("tiny", ["memory.outstanding=4"]))
    other = random_model(**SIZES, seed=5)
    with pytest.raises(ImageMismatchError, match=r"was made from .*\.gguf with SHA-256"):
        check_image_folder(folder, model_file=other)


def test_full_disk_is_a_sentence_before_any_work(config, model_file, tmp_path, monkeypatch):
    monkeypatch.setattr(image_folder.shutil, "disk_usage", lambda path: types.SimpleNamespace(free=1000))
    with pytest.raises(ImageError, match=r"the image takes [\d,]+ bytes, but the disk of .* has 1,000 left"):
        write_image(config, model_file, tmp_path / "image")
    assert not list(tmp_path.iterdir())


def test_failed_write_is_a_sentence_and_leaves_the_earlier_image(config, folder, random_model):
    before = (folder / MANIFEST).read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(ImageError, match=r"the image could not be written to .*/image: File too large"):
            write_image(config, random_model(**SIZES, seed=5), folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert (folder / MANIFEST).read_bytes() == before
    check_image_folder(folder)


def test_interruption_leaves_nothing(config, model_file, tmp_path):
    def interrupt(name, done=0, total=0):
        if name == "packing the model":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_image(config, model_file, tmp_path / "image", progress=interrupt)
    assert not list(tmp_path.iterdir())


def test_an_earlier_image_is_replaced_and_other_files_are_not(config, folder, random_model, tmp_path):
    other = random_model(**SIZES, seed=5)
    manifest = write_image(config, other, folder)
    assert check_image_folder(folder, model_file=other) == manifest
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(ImageError, match="holds files that rtlm image did not write; name another one"):
        write_image(config, other, folder)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / MANIFEST).write_text('{"generator": "rtlm"}')
    with pytest.raises(ImageError, match="did not write"):
        write_image(config, other, theirs)


def test_the_same_image_is_kept_and_not_packed_again(config, folder, model_file, monkeypatch):
    packed = []

    def write(context=CONTEXT):
        packed.clear()
        return write_image(config, model_file, folder, context=context, progress=lambda name, *_: packed.append(name))

    before = ImageManifest.read(folder)
    assert write() == before
    assert "packing the model" not in packed
    # Another context, a damaged image, and other source.
    assert write(CONTEXT - 1) != before and "packing the model" in packed
    assert write() == before and "packing the model" in packed
    with (folder / IMAGE).open("r+b") as file:
        file.seek(1000)
        file.write(b"?")
    assert write() == before and "packing the model" in packed
    check_image_folder(folder)
    monkeypatch.setattr(image_folder, "source_key", lambda source: "other")
    assert write().packer == "other" and "packing the model" in packed


def test_memory_is_bounded(random_model, tmp_path, monkeypatch):
    """The image is many times larger than what writing and checking it allocate."""
    monkeypatch.setattr(image_module, "PIECE_WEIGHTS", 1 << 14)
    monkeypatch.setattr(image_check, "READ_BYTES", 1 << 16)
    monkeypatch.setattr(image_folder, "HASH_CHUNK", 1 << 16)
    sizes = {"layers": 4, "dim": 512, "hidden_dim": 2048, "heads": 16, "kv_heads": 4, "vocab": 320}
    limits = [f"limits.{key}={sizes[key]}" for key in ("dim", "hidden_dim", "heads", "kv_heads")]
    config = load_config("tiny", [*limits, "attention.group=4"])
    path = random_model(**sizes)
    tracemalloc.start()
    try:
        manifest = write_image(config, path, tmp_path / "image", context=64)
        written = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        check_image_folder(tmp_path / "image")
        checked = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert manifest.memory.image_bytes > 8_000_000
    assert written < manifest.memory.image_bytes / 4, written
    assert checked < manifest.memory.image_bytes / 4, checked
