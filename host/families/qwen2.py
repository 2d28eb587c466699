"""Qwen2 and Qwen2.5: biases on query, key and value (Alibaba, arXiv:2407.10671)."""

from rtlm.host.families.family import Family, Rotation

FAMILY = Family(architecture="qwen2", model_type="qwen2", qkv_biases=True, rotation=Rotation.HALVES)
