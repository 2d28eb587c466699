"""The writer of small random models."""

import pytest
from gguf import GGMLQuantizationType as Type
from rtlm.host.errors import ModelError
from rtlm.host.models.random_model import write_random_model


def test_same_arguments_write_the_same_file(tmp_path):
    first, second, other = (
        write_random_model(tmp_path / name, seed=seed).read_bytes() for name, seed in (("a", 7), ("b", 7), ("c", 8))
    )
    assert first == second != other


def test_impossible_vocabulary(tmp_path):
    with pytest.raises(ModelError, match="not 3"):
        write_random_model(tmp_path / "m.gguf", vocab=3)


def test_types_of_unknown_tensors_are_refused(tmp_path):
    with pytest.raises(ModelError, match=r"'blk\.7\.attn_q\.weight', which the model does not have"):
        write_random_model(tmp_path / "m.gguf", types={"blk.7.attn_q.weight": Type.F16})
