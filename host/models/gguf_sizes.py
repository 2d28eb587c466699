"""The sizes that a GGUF file states of a model that the gates do not execute: another family, or other formats."""

from typing import Any

import gguf
from gguf import GGMLQuantizationType, Keys
from rtlm.host.errors import ModelError
from rtlm.host.families import BY_ARCHITECTURE
from rtlm.host.models.gguf_file import GGUFFile
from rtlm.host.models.model import FLOAT_DTYPES
from rtlm.host.models.shape_file import Sizes, checked_sizes
from rtlm.hw.formats import BlockFormat

EMBEDDING, OUTPUT = (
    f"{gguf.TENSOR_NAMES[tensor]}.weight" for tensor in (gguf.MODEL_TENSOR.TOKEN_EMBD, gguf.MODEL_TENSOR.OUTPUT)
)


def runs_as_it_is(file: GGUFFile) -> bool:
    """Say whether a file has a family and formats that the compiler reads."""
    family = BY_ARCHITECTURE.get(file.get(Keys.General.ARCHITECTURE, str))
    return family is not None and not family.missing and not _foreign_formats(file)


def gguf_sizes(file: GGUFFile, name: str, format: BlockFormat) -> tuple[Sizes, tuple[str, ...]]:
    """Return the sizes of any model of a known family, and phrases for what an estimate takes in place of the file's.

    Parameters
    ----------
    file
        The opened file.
    name
        Its name, for messages.
    format
        Block format that the estimate takes.

    Raises
    ------
    ModelError
        If the family is unknown, or a size is missing or impossible.
    """
    architecture = file.get(Keys.General.ARCHITECTURE, str)
    if architecture not in BY_ARCHITECTURE:
        raise ModelError(
            f"{name}: the architecture must be one of {', '.join(BY_ARCHITECTURE)} for an estimate, "
            f"got {architecture!r:.60}"
        )
    if EMBEDDING not in file.tensors:
        raise ModelError(f"{name}: the tensor {EMBEDDING} is missing")

    def known(key: str, kind: Any = int) -> Any:
        key = key.format(arch=architecture)
        return file.get(key, kind) if key in file.metadata else None

    epsilon = known(Keys.Attention.LAYERNORM_RMS_EPS, float) or known(Keys.Attention.LAYERNORM_EPS, float)
    sizes = checked_sizes(
        {
            "model_type": BY_ARCHITECTURE[architecture].model_type,
            "hidden_size": known(Keys.LLM.EMBEDDING_LENGTH),
            "num_hidden_layers": known(Keys.LLM.BLOCK_COUNT),
            "num_attention_heads": known(Keys.Attention.HEAD_COUNT),
            "num_key_value_heads": known(Keys.Attention.HEAD_COUNT_KV),
            "head_dim": known(Keys.Attention.KEY_LENGTH),
            "intermediate_size": known(Keys.LLM.FEED_FORWARD_LENGTH),
            "max_position_embeddings": known(Keys.LLM.CONTEXT_LENGTH),
            "vocab_size": file.tensors[EMBEDDING].shape[0],
            "rms_norm_eps": epsilon,
            "sliding_window": known(Keys.Attention.SLIDING_WINDOW),
            "tie_word_embeddings": OUTPUT not in file.tensors,
        },
        name,
    )
    foreign = _foreign_formats(file)
    phrase = f"weights in {', '.join(foreign)}, estimated as {format.name}"
    return sizes, (phrase,) if foreign else ()


def _foreign_formats(file: GGUFFile) -> list[str]:
    """Return the formats of matrices that the gates do not have."""
    types = {tensor.type for tensor in file.tensors.values()}
    known = {*FLOAT_DTYPES, *(GGMLQuantizationType[each.name] for each in BlockFormat)}
    return sorted(each.name for each in types - known)
