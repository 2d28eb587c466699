"""Qwen3: each head's query and key are normalised (Alibaba, arXiv:2505.09388)."""

from rtlm.host.families.family import Family, Rotation

FAMILY = Family(architecture="qwen3", model_type="qwen3", head_norms=True, rotation=Rotation.HALVES)
