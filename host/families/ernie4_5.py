"""Dense ERNIE 4.5: a llama under another name (Baidu)."""

from rtlm.host.families.family import Family

FAMILY = Family(architecture="ernie4_5", model_type="ernie4_5", tied=True)
