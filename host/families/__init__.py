"""Families of models: one file each that says what it has and what it calls it."""

from rtlm.host.families import (
    chatglm,
    ernie4_5,
    exaone,
    gemma3,
    gpt2,
    granite,
    internlm2,
    llama,
    opt,
    qwen2,
    qwen3,
    smollm3,
)
from rtlm.host.families.family import GELU, SWITCHES, Family, Rotation

__all__ = ["BY_ARCHITECTURE", "BY_MODEL_TYPE", "GELU", "SWITCHES", "Family", "Rotation"]

_FAMILIES: tuple[Family, ...] = tuple(
    module.FAMILY
    for module in (
        llama,
        granite,
        smollm3,
        exaone,
        internlm2,
        ernie4_5,
        qwen2,
        qwen3,
        gemma3,
        gpt2,
        opt,
        chatglm,
    )
)

BY_ARCHITECTURE = {family.architecture: family for family in _FAMILIES}
"""Families by the architecture that a GGUF file names."""

BY_MODEL_TYPE = {family.model_type: family for family in _FAMILIES}
"""Families by the ``model_type`` of a Hugging Face config.json."""
