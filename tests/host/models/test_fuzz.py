"""Files from outside, damaged in every way: they are read, or refused in one line, and never cost much memory."""

import tracemalloc
from collections.abc import Callable
from contextlib import contextmanager

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rtlm.gen.common.errors import ConfigError
from rtlm.gen.configuration.load import load_config, preset_text
from rtlm.host.compiler.header import HEADER_BYTES, ImageHeader, check_image
from rtlm.host.compiler.image import build_image
from rtlm.host.compiler.program import compile_model
from rtlm.host.errors import AcceleratorError, ModelError
from rtlm.host.models.gguf_file import GGUFFile
from rtlm.host.models.model import LlamaModel
from rtlm.host.models.stored import embedding_blocks
from rtlm.host.models.tokenizer import Tokenizer

from tests.host.families import GRANITE
from tests.host.small_models import params_of

LONGEST_LINE = 600
HUGE = [0, 1, 0x7F, 0xFF, 0xFFFF, 1 << 20, 1 << 31, (1 << 32) - 1, 1 << 40, 1 << 62, 1 << 63, (1 << 64) - 1]


def fuzz(examples: int) -> settings:
    """Return hypothesis' settings for slow examples; `--fuzz N` takes N times as many."""
    slow = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
    count = examples * settings.default.max_examples // 100
    return settings(max_examples=count, deadline=None, suppress_health_check=slow)


@contextmanager
def bounded(limit: int):
    """Fail where more than `limit` bytes are allocated at once, NumPy's included."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= limit, f"{peak} bytes were allocated; {limit} are allowed"


def one_line(text: str) -> None:
    assert text.isprintable() and 0 < len(text) < LONGEST_LINE


EDITS = st.lists(
    st.tuples(
        st.sampled_from(["byte", "bit", "length", "out", "twice", "cut"]),
        st.integers(0, (1 << 16) - 1),  # where, modulo the length of what may be changed
        st.integers(0, 255),
        st.integers(1, 64),
        st.sampled_from([4, 8]),
        st.sampled_from(HUGE),
    ),
    min_size=1,
    max_size=4,
)
"""What `damage` does, one after the other. No draw depends on another, so an example is the same each time."""


def damage(content: bytes, edits: list[tuple], until: int | None = None) -> bytes:
    """Change some bytes or whole lengths before `until`, take a part out or put one in twice, or cut the end off."""
    until = len(content) if until is None else until
    damaged = bytearray(content)
    for kind, place, byte, size, width, value in edits:
        at = place % max(min(until, len(damaged)), 1)
        if kind == "byte":
            damaged[at : at + 1] = bytes([byte])
        elif kind == "bit" and at < len(damaged):
            damaged[at] ^= 1 << byte % 8
        elif kind == "length":
            damaged[at : at + width] = (value & ((1 << 8 * width) - 1)).to_bytes(width, "little")
        elif kind == "out":
            del damaged[at : at + size]
        elif kind == "twice":
            damaged[at:at] = damaged[at : at + size]
        elif kind == "cut":
            del damaged[at:]
    return bytes(damaged)


FILES: dict[str, dict] = {
    "byte-level BPE": {},
    "SentencePiece": {"sentencepiece": True, "rope_factors": (1.0, 1.5, 2.0, 4.0)},
    "super-blocks": {
        "dim": 256,
        "hidden_dim": 256,
        "matrix_type": Type.Q4_K,
        "embedding_type": Type.Q6_K,
        "types": {"blk.0.attn_v.weight": Type.Q5_0, "blk.0.ffn_down.weight": Type.Q5_K},
    },
    "factors": {"architecture": "granite", "metadata": GRANITE | {"rope.scaling.type": "yarn"}},
}
"""Files of each kind of tokenizer, of block and of number that the host folds away."""


@pytest.fixture(scope="module", params=FILES)
def model_file(request, random_model) -> bytes:
    sizes = {"layers": 1, "vocab": 300, "dim": 32, "hidden_dim": 32}
    return random_model(**(sizes | FILES[request.param])).read_bytes()


def read_model(content: bytes) -> None:
    """Read everything that a command reads before it decides whether to go on."""
    file = GGUFFile(content)
    model = LlamaModel.from_file(file)
    tokenizer = Tokenizer(file)
    tokenizer.decode(tokenizer.encode(" ab <|im_start|>\u00e9"))
    model.rope_table(range(8))
    for tensor in file.tensors.values():
        assert tensor.data.nbytes == tensor.size
    model.norm("output_norm")
    embedding_blocks(model)


@pytest.mark.slow
@fuzz(200)
@given(edits=EDITS)
def test_model_files(model_file, edits):
    header = len(model_file) - sum(tensor.size for tensor in GGUFFile(model_file).tensors.values())
    content = damage(model_file, edits, header)
    # Objects for strings and tensors take a multiple of their bytes in the file.
    with bounded(20 * len(model_file)):
        try:
            read_model(content)
        except ModelError as error:
            one_line(str(error))


def test_a_good_model_file_is_read(model_file):
    read_model(model_file)


SCALARS = st.sampled_from(
    [
        "0x" + "f" * 6000,
        "9" * 6000,
        "1e999",
        "-0",
        ".nan",
        "-.inf",
        "~",
        "''",
        '"a\\nb"',
        "2001-99-01",
        "1:2:3",
        "*a",
        "&a b",
    ]
)
LINES = st.sampled_from(
    [
        "extends: tiny",
        "matmul: [",
        "<<: {a: 1}",
        "? [a]\n: b",
        "limits: {dim: {}}",
        "memory: {dram: {change: {cl: {ns: x}}}}",
    ]
)


@st.composite
def configuration(draw) -> str:
    """Damage a preset's text: single values, lines, or any bytes."""
    lines = [line for line in preset_text("tiny").splitlines() if line and not line.lstrip().startswith("#")]
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        kind = draw(st.sampled_from(["value", "any value", "line", "twice", "indent", "bytes"]))
        key, colon, _ = lines[at].partition(":")
        if kind == "value":
            lines[at] = key + colon + " " + draw(SCALARS)
        elif kind == "any value":
            lines[at] = key + colon + " " + draw(st.text(max_size=20))
        elif kind == "line":
            lines[at] = draw(LINES)
        elif kind == "twice":
            lines.insert(at, lines[at])
        elif kind == "indent":
            lines[at] = " " * draw(st.integers(1, 5)) + lines[at].lstrip()
        else:
            lines[at] = damage(lines[at].encode(), draw(EDITS)).decode(errors="replace")
    return "\n".join(lines)


def load_text(path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="replace")
    with bounded(8 << 20):
        try:
            load_config(path).to_params()
        except ConfigError as error:
            for problem in error.problems:
                one_line(problem)


@pytest.mark.slow
@fuzz(150)
@given(text=configuration())
def test_configurations(tmp_path, text):
    load_text(tmp_path / "fuzz.yaml", text)


BOMBS = {
    "aliases": "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9) if i else 'x, x'}]\n" for i in range(12)),
    "merge keys": "".join(
        f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9) if i else '{x: 1}'}]}}\n" for i in range(12)
    ),
    "nesting": "board: " + "[" * 30000,
    "closed nesting": "board: " + "[" * 200 + "]" * 200,
    "long number": "clock_mhz: " + "9" * 60000,
    "long hexadecimal number": "board: [0x" + "f" * 60000 + "]",
    "long key": "? " + "k" * 60000 + "\n: 1",
}


@pytest.mark.parametrize("name", BOMBS)
def test_small_configurations_that_stand_for_much(tmp_path, name):
    load_text(tmp_path / "bomb.yaml", "extends: tiny\n" + BOMBS[name])


@pytest.fixture(scope="module")
def image(small_model):
    model = small_model(layers=1)
    params = params_of("tiny")
    memory, program = compile_model(params, model, context=8)
    return params, build_image(params, model, memory, program)


def checked(params, content: bytes, check: Callable[..., object]) -> bool:
    """Tell whether an image is accepted."""
    with bounded(1 << 20):
        try:
            check(params, np.frombuffer(content, np.uint8))
        except AcceleratorError as error:
            one_line(str(error))
            return False
    return True


@fuzz(300)
@given(edits=EDITS)
def test_image_headers(image, edits):
    """Damage within the header is always noticed."""
    params, words = image
    good = words.tobytes()
    assert checked(params, good, check_image)
    content = damage(good, edits, HEADER_BYTES)
    same = content[:HEADER_BYTES] == good[:HEADER_BYTES] and len(content) == len(good)
    assert checked(params, content, check_image) == same


@fuzz(300)
@given(fields=st.lists(st.sampled_from(HUGE) | st.integers(0, 1 << 12), min_size=4, max_size=4))
def test_image_headers_with_right_checksums(image, fields):
    """Whatever a header states, what is accepted lies inside the image."""
    params, words = image
    names = ("words", "content_words", "program_start", "program_words")
    header = ImageHeader(
        word_bytes=params.word_bytes, config_hash=params.config_hash, **dict(zip(names, fields, strict=True))
    )
    content = header.pack().tobytes() + words.tobytes()[HEADER_BYTES:]
    if checked(params, content, check_image):
        assert header.content_words == len(words)
        assert 0 < header.program_start < header.program_start + header.program_words <= len(words) <= header.words
