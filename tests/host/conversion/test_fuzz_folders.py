"""Folders from outside, damaged in every way: converted, or refused in one line, and never at much memory's cost."""

import shutil

import pytest
from hypothesis import given
from rtlm.host.conversion.convert import convert
from rtlm.host.errors import ModelError
from rtlm.host.models.model import LlamaModel

from tests.host.families import FLOATS
from tests.host.hugging_face import write_folder, write_sentencepiece
from tests.host.models.test_fuzz import EDITS, bounded, damage, fuzz, one_line

LIMIT = 16 << 20


@pytest.fixture(scope="module", params=["byte-level BPE", "SentencePiece"])
def folder(request, random_model, tmp_path_factory):
    model = LlamaModel.open(random_model(layers=1, vocab=320, dim=32, hidden_dim=32, **FLOATS))
    path = write_folder(model, tmp_path_factory.mktemp("good") / "model")
    if request.param == "SentencePiece":
        write_sentencepiece(path, 320)
    return path


def read(path, output) -> None:
    with bounded(LIMIT):
        try:
            convert(path, output)
        except ModelError as error:
            one_line(str(error))


def test_a_good_folder_is_converted(folder, tmp_path):
    with bounded(LIMIT):
        convert(folder, tmp_path / "out.gguf")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"])
@fuzz(150)
@given(edits=EDITS)
def test_folders(folder, tmp_path, name, edits):
    shutil.rmtree(tmp_path / "bad", ignore_errors=True)
    shutil.copytree(folder, tmp_path / "bad")
    content = (folder / name).read_bytes()
    header = 8 + int.from_bytes(content[:8], "little") if name == "model.safetensors" else len(content)
    (tmp_path / "bad" / name).write_bytes(damage(content, edits, header))
    read(tmp_path / "bad", tmp_path / "out.gguf")


DEEP = "[" * 100_000
BOMBS = {
    "nesting": DEEP,
    "number": '{"model_type": "llama", "hidden_size": ' + "9" * 10_000 + "}",
    "list": "[]",
    "nothing": "",
    "not text": "\udcff",
}


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("bomb", BOMBS)
def test_small_files_that_stand_for_much(folder, tmp_path, name, bomb):
    shutil.copytree(folder, tmp_path / "bad")
    (tmp_path / "bad" / name).write_text(BOMBS[bomb], encoding="utf-8", errors="surrogateescape")
    with pytest.raises(ModelError) as caught:
        convert(tmp_path / "bad", tmp_path / "out.gguf")
    one_line(str(caught.value))
