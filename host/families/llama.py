"""Llama, and what has its layer under its name: SmolLM2, TinyLlama, Mistral 7B (Touvron et al., arXiv:2302.13971)."""

from rtlm.host.families.family import Family

FAMILY = Family(architecture="llama", model_type="llama")
