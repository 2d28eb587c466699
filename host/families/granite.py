"""Granite 3 and dense Granite 4: a llama with four factors, in some models without positions (IBM)."""

from rtlm.host.families.family import Family

FAMILY = Family(architecture="granite", model_type="granite", scalars=True, rotation_switch=True)
