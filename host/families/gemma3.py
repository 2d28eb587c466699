"""Gemma 3: norms before and behind, GELU, sliding windows in five of six layers (Google, arXiv:2503.19786)."""

from rtlm.host.families.family import Family, Rotation

FAMILY = Family(
    architecture="gemma3",
    model_type="gemma3_text",
    activation="gelu_pytorch_tanh",
    tied=True,
    sandwich_norms=True,
    head_norms=True,
    rotation=Rotation.HALVES,
    windows=True,
    root_scaled_embedding=True,
)
