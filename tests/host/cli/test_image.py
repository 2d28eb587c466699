"""``rtlm image`` and ``rtlm generate accelerator --for``."""

import json

import pytest
import yaml
from rtlm.gen.common.errors import NEGATIVE, OK, USER_ERROR
from rtlm.gen.configuration.load import load_config
from rtlm.gen.package import handover
from rtlm.gen.package.folder import Package
from rtlm.gen.rtl import verilog
from rtlm.host.cli import main as cli
from rtlm.host.compiler.image_manifest import IMAGE, MANIFEST, PROGRAM, ImageManifest

from tests.host.small_models import SIZES


@pytest.fixture(scope="module")
def model_file(random_model):
    return random_model(**SIZES)


def test_write_and_check(model_file, tmp_path, capsys):
    folder = tmp_path / "image"
    assert cli.run_command(["image", str(model_file), "--config", "tiny", "-o", str(folder)]) == OK
    out, err = capsys.readouterr()
    assert out.splitlines()[:3] == [str(folder / name) for name in (IMAGE, MANIFEST, PROGRAM)]
    assert "packing the model ..." in err
    options = ["--config", "tiny", "--model", str(model_file), "--json", "-"]
    assert cli.run_command(["image", "check", str(folder), *options]) == OK
    out, err = capsys.readouterr()
    assert json.loads(out) == {"folder": str(folder), "matches": True, "difference": None}
    with (folder / IMAGE).open("r+b") as file:
        file.truncate(100)
    assert cli.run_command(["image", "check", str(folder), "--quiet"]) == NEGATIVE
    out, err = capsys.readouterr()
    assert out == "" and "image.bin has 100 bytes; the manifest states" in err and err.count("\n") == 1
    report = tmp_path / "check.json"
    assert cli.run_command(["image", "check", str(folder), "--quiet", "--json", str(report)]) == NEGATIVE
    found = json.loads(report.read_text())
    assert not found["matches"] and "image.bin has 100 bytes" in found["difference"]


def test_options_may_come_first_and_quiet_says_nothing(model_file, tmp_path, capsys):
    folder = tmp_path / "image"
    changes = ["--set", "memory.ports=4", "--set", "memory.prefetch_kib=32"]
    options = ["-q", "--config", "tiny", *changes, "--context", "7", "-o", str(folder)]
    assert cli.run_command(["image", *options, str(model_file)]) == OK
    assert capsys.readouterr() == ("", "")
    manifest = ImageManifest.read(folder)
    assert (manifest.memory.ports, manifest.model.context) == (4, 7)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["no.gguf", "-o", "x"], "cannot open the model no.gguf: No such file or directory"),
        (["no.gguf"], "Missing option '--output' / '-o'"),
        (["check", "nowhere"], "nowhere/manifest.json cannot be read: No such file or directory"),
        (["check", "nowhere", "--set", "clock_mhz=3"], "--set needs --config"),
        (["no.gguf", "-o", "x", "--context", "0"], "--context must be a whole number, at least 1, got 0"),
    ],
)
def test_what_is_wrong_is_said(arguments, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.run_command(["image", *arguments]) == USER_ERROR
    assert sentence in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_model_that_does_not_fit_is_refused(random_model, tmp_path, capsys):
    wide = random_model(**SIZES | {"dim": 256, "heads": 8, "kv_heads": 4})
    assert cli.run_command(["image", str(wide), "--config", "tiny", "-o", str(tmp_path / "x")]) == USER_ERROR
    assert "the model's dim must be at most 128 for configuration tiny, got 256" in capsys.readouterr().err


def test_hash_of_the_verilog_is_stated_where_it_is_known(model_file, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    config = load_config("tiny")
    arguments = ["image", str(model_file), "-c", "tiny", "-q", "-o", str(tmp_path / "image")]
    assert cli.run_command(arguments) == OK
    assert ImageManifest.read(tmp_path / "image").configuration.verilog_sha256 is None
    cached = tmp_path / "cache/rtlm/rtl" / verilog.rtl_key(config)
    cached.mkdir(parents=True)
    (cached / verilog.HARDWARE).write_text('{"verilog_sha256": "abc"}')
    assert cli.run_command(arguments) == OK
    assert ImageManifest.read(tmp_path / "image").configuration.verilog_sha256 == "abc"
    (cached / verilog.HARDWARE).write_text("{")
    assert verilog.verilog_sha256(config) is None


@pytest.fixture
def package(monkeypatch):
    """Stand in for the package: only the documents, no RTL."""
    monkeypatch.setattr(
        handover,
        "accelerator_package",
        lambda config, documents, progress, prefix: Package(name=config.name, texts=documents),
    )


def test_limits_grow_for_a_model_and_the_image_is_written_for_them(package, random_model, tmp_path, capsys):
    wide = random_model(**SIZES | {"dim": 256, "heads": 8, "kv_heads": 4})
    folder = tmp_path / "rtl"
    arguments = ["generate", "accelerator", "--config", "tiny", "--for", str(wide), "-o", str(folder)]
    assert cli.run_command(arguments) == OK
    err = capsys.readouterr().err
    assert f"tiny was changed to hold {wide.stem}: limits.dim=256 limits.heads=8 limits.kv_heads=4." in err
    assert "With 64 positions it takes" in err
    written = str(folder / "configuration.yaml")
    assert load_config(written).limits.dim == 256
    assert cli.run_command(["image", str(wide), "--config", written, "-q", "-o", str(tmp_path / "image")]) == OK
    assert cli.run_command(["image", "check", str(tmp_path / "image"), "--config", written, "-q"]) == OK


def test_a_model_that_fits_changes_nothing(package, model_file, tmp_path, capsys):
    folder = tmp_path / "rtl"
    arguments = ["generate", "accelerator", "--config", "tiny", "--for", str(model_file), "-o", str(folder)]
    assert cli.run_command([*arguments, "--quiet"]) == OK
    assert capsys.readouterr() == ("", "")
    assert yaml.safe_load((folder / "configuration.yaml").read_text()) == load_config("tiny").model_dump(mode="json")
    assert cli.run_command(arguments) == OK
    assert f"tiny holds {model_file.stem} as it is." in capsys.readouterr().err


def test_a_model_on_paper_and_its_context(package, tmp_path, capsys):
    arguments = ["generate", "accelerator", "--config", "kv260", "-o", str(tmp_path / "rtl")]
    assert cli.run_command([*arguments, "--for", "gpt2-345m", "--context", "4000"]) == OK
    err = capsys.readouterr().err
    assert "attention.context_limit=4000" in err and "The accelerator lacks what this model has: " in err
    assert cli.run_command([*arguments, "--for", "llama-2-70b", "--set", "memory.address_bits=32"]) == USER_ERROR
    assert "address bits reach" in capsys.readouterr().err
    assert cli.run_command([*arguments, "--for", "nothing"]) == USER_ERROR
    assert "there is no model 'nothing'" in capsys.readouterr().err
    assert cli.run_command([*arguments, "--context", "9"]) == USER_ERROR
    assert "--context 9 needs --for MODEL" in capsys.readouterr().err
