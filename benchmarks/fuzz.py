"""Coverage-guided fuzzing (atheris) of what reads files from outside: model files, configurations, memory images.

::

    pip install -e '.[test,fuzz]'
    python benchmarks/fuzz.py gguf --seconds 600
    python benchmarks/fuzz.py config --seconds 600 --corpus build/fuzz/config

atheris sees which branches of rtlm, gguf and yaml an input reaches and keeps those that reach new ones. What must hold
is what tests/host/models/test_fuzz.py demands: an input is read, or refused in one printable line, in bounded
memory. Anything else ends the run, with the input in the corpus folder as ``crash-...``. The exit code is 0 when the
time is over and nothing was found, 1 when something was, 3 without atheris.
"""

import argparse
import importlib
import importlib.util
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
INSTRUMENTED = ["rtlm.host", "rtlm.gen", "rtlm.hw.params", "gguf", "yaml"]
LONGEST_INPUT = 64 << 10
"""Bytes of the longest input that is tried."""
MEMORY_MIB = 2048
FOUND, MISSING = 1, 3
Target = tuple[Callable[[bytes], None], list[bytes]]


def gguf() -> Target:
    """Return the reader of model files and whole ones of each kind."""
    tests = importlib.import_module("tests.host.models.test_fuzz")
    writer = importlib.import_module("rtlm.host.models.random_model")
    with tempfile.TemporaryDirectory() as folder:
        path, sizes = Path(folder) / "model.gguf", {"layers": 1, "vocab": 300, "dim": 32, "hidden_dim": 32}
        good = [writer.write_random_model(path, **sizes, **kind).read_bytes() for kind in tests.FILES.values()]
    longest = max(map(len, good))

    def read(content: bytes) -> None:
        with tests.bounded(20 * max(longest, len(content))):
            try:
                tests.read_model(content)
            except tests.ModelError as error:
                tests.one_line(str(error))

    return read, good


def config() -> Target:
    """Return the reader of configurations and all presets."""
    tests = importlib.import_module("tests.host.models.test_fuzz")
    presets = importlib.import_module("rtlm.gen.configuration.load")
    path = Path(tempfile.mkdtemp()) / "fuzz.yaml"

    def read(content: bytes) -> None:
        tests.load_text(path, content.decode(errors="replace"))

    return read, [presets.preset_text(name).encode() for name in presets.preset_names()]


def image() -> Target:
    """Return the check of memory images and the header of a good one with the words behind it."""
    tests = importlib.import_module("tests.host.models.test_fuzz")
    small = importlib.import_module("tests.host.small_models")
    params = small.params_of("tiny")
    writer = importlib.import_module("rtlm.host.models.random_model")
    with tempfile.TemporaryDirectory() as folder:
        path = writer.write_random_model(Path(folder) / "model.gguf", **small.SIZES | {"layers": 1})
        model = tests.LlamaModel.open(path)
        memory, program = tests.compile_model(params, model, context=8)
        good = tests.build_image(params, model, memory, program).tobytes()
    head = good[: tests.HEADER_BYTES]
    names = ("words", "content_words", "program_start", "program_words")

    def read(content: bytes) -> None:
        damaged = content[: len(head)] + good[len(content[: len(head)]) :]
        accepted = tests.checked(params, damaged, tests.check_image)
        assert accepted == (damaged == good), "a damaged header was accepted, or the good one was not"
        # The same bytes as fields of a header whose checksum is right: what the checksum keeps others from reaching.
        fields = dict(zip(names, struct.unpack("<4Q", content[:32].ljust(32, b"\0")), strict=True))
        header = tests.ImageHeader(word_bytes=params.word_bytes, config_hash=params.config_hash, **fields)
        if tests.checked(params, header.pack().tobytes() + good[len(head) :], tests.check_image):
            assert header.content_words * params.word_bytes == len(good)
            assert 0 < header.program_start < header.program_start + header.program_words <= header.content_words

    return read, [head, struct.pack("<4Q", len(good), len(good) // params.word_bytes, 1, 1)]


TARGETS = {"gguf": gguf, "config": config, "image": image}


def fuzz(name: str, seconds: int, corpus: Path) -> None:
    """Fuzz in this process until time is over or something is found; does not return."""
    import atheris

    sys.path.insert(0, str(ROOT))
    with atheris.instrument_imports(include=INSTRUMENTED):
        read, seeds = TARGETS[name]()
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
        read(seed)
    limits = [f"-max_total_time={seconds}", f"-rss_limit_mb={MEMORY_MIB}", f"-max_len={LONGEST_INPUT}", "-timeout=60"]
    atheris.Setup([sys.argv[0], *limits, f"-artifact_prefix={corpus}/", "-print_final_stats=1", str(corpus)], read)
    atheris.Fuzz()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; the fuzzer ends the process it runs in, so that is another."""
    parser = argparse.ArgumentParser(description="Coverage-guided fuzzing of what reads files from outside.")
    parser.add_argument("target", choices=sorted(TARGETS), help="what to fuzz")
    parser.add_argument("--seconds", type=int, default=60, metavar="N", help="how long (default 60)")
    parser.add_argument("--corpus", type=Path, metavar="FOLDER", help="inputs to begin with, and where new ones go")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    corpus = options.corpus or ROOT / "build" / "fuzz" / options.target
    if options.here:
        fuzz(options.target, options.seconds, corpus)
    if importlib.util.find_spec("atheris") is None:
        print("Fuzzing needs atheris; run: pip install -e '.[test,fuzz]'.", file=sys.stderr)
        return MISSING
    words = [options.target, "--seconds", str(options.seconds), "--corpus", str(corpus), "--here"]
    return FOUND if subprocess.run([sys.executable, __file__, *words]).returncode else 0


if __name__ == "__main__":
    sys.exit(main())
