"""The C driver: strict C99, clean under static analysis, and what it knows of the image is what the packer writes."""

import re
import shutil
import subprocess

import pytest
from rtlm.gen.configuration.load import load_config, preset_names
from rtlm.gen.package import driver
from rtlm.gen.package.driver import driver_files
from rtlm.host.compiler import header
from rtlm.host.compiler.header import ImageHeader
from rtlm.host.runtime import control
from rtlm.hw.control.errors import Error

from tests.gen.package.driver_sources import STRICT, write_driver


def write(name, folder):
    return write_driver(load_config(name), folder)


def compile_with(compiler, folder, *arguments):
    if shutil.which(compiler) is None:
        pytest.skip(f"this test needs the C compiler {compiler}")
    done = subprocess.run([compiler, *STRICT, *arguments], cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_preset_fills_every_place(tmp_path):
    for name in preset_names():
        for path, text in driver_files(load_config(name).to_params()).items():
            assert not re.search(r"@[A-Z_]+@", text), (name, path)


def test_it_compiles_without_a_library_and_without_a_warning(tmp_path):
    folder = write("kv260", tmp_path)
    compile_with("gcc", folder, "-ffreestanding", "-c", "driver.c", "-o", "driver.o")
    symbols = subprocess.run(["nm", "-u", "driver.o"], cwd=folder, capture_output=True, text=True, check=True).stdout
    # What a freestanding compiler may call itself.
    assert set(symbols.split()) - {"U"} <= {"memcpy", "memset", "__stack_chk_fail", "_GLOBAL_OFFSET_TABLE_"}


@pytest.mark.slow
def test_static_analysis_finds_nothing(tmp_path):
    compile_with("gcc", write("kv260", tmp_path), "-O2", "-fanalyzer", "-o", "decode", "main.c", "driver.c")


def test_it_compiles_for_the_processors_of_a_kv260(tmp_path):
    compile_with("aarch64-linux-gnu-gcc", write("kv260", tmp_path), "-O2", "-o", "decode", "main.c", "driver.c")


def test_the_image_is_read_as_it_is_written():
    text = driver_files(load_config("tiny").to_params())["driver/driver.c"]
    places = {name: int(value) for name, value in re.findall(r"#define (HEADER_\w+) (\d+)u", text)}
    packed = ImageHeader(
        word_bytes=64, config_hash=0x1122334455667788, words=9, content_words=5, program_start=4, program_words=1
    ).pack()

    def number(name, size):
        return int.from_bytes(packed[places[name] : places[name] + size].tobytes(), "little")

    assert places["HEADER_BYTES"] == header.HEADER_BYTES == len(packed)
    assert number("HEADER_VERSION", 4) == header.VERSION == driver.IMAGE_VERSION
    assert number("HEADER_WORD_BYTES", 4) == 64
    assert number("HEADER_HASH", 8) == 0x1122334455667788
    assert places["HEADER_CHECKSUM"] == len(packed) - 4


def test_resets_and_missing_answers_are_known_as_in_python():
    text = driver_files(load_config("tiny").to_params())["driver/driver.c"]
    assert f"#define RESET_POLLS {control.RESET_POLLS}u\n" in text
    assert f"#define NO_ANSWER {control.NO_ANSWER:#x}u\n" in text


def test_every_error_has_its_text():
    text = driver_files(load_config("tiny").to_params())["driver/driver.c"]
    for error in Error:
        assert f'case RTLM_ERROR_{error.name}:\n        return "{error.meaning.rstrip(".")}";' in text
