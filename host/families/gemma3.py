"""Gemma 3: norms before and behind, GELU, sliding windows in five of six layers (Google, arXiv:2503.19786)."""

from rtlm.host.families.family import GELU, Family, Rotation

FAMILY = Family(
    architecture="gemma3",
    model_type="gemma3_text",
    activation=GELU,
    tied=True,
    post_norms=True,
    head_norms=True,
    rotation=Rotation.HALVES,
    window_step=6,
    offset_norms=True,
    root_scaled_embedding=True,
)
