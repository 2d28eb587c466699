"""InternLM2: a llama under another name, once its query, key and value are matrices of their own (arXiv:2403.17297)."""

from rtlm.host.families.family import Family

FAMILY = Family(architecture="internlm2", model_type="internlm2")
