"""EXAONE 3: a llama whose RoPE turns the halves of a head (LG AI Research, arXiv:2408.03541)."""

from rtlm.host.families.family import Family, Rotation

FAMILY = Family(architecture="exaone", model_type="exaone", rotation=Rotation.HALVES)
