"""SmolLM3: a llama of which each fourth layer has no RoPE (Hugging Face; Yang et al., arXiv:2501.18795)."""

from rtlm.host.families.family import Family

FAMILY = Family(architecture="smollm3", model_type="smollm3", tied=True, rotation_free_step=4)
