"""GPT-2 (Radford et al., 2019)."""

from rtlm.host.families.family import Family

FAMILY = Family(
    architecture="gpt2",
    model_type="gpt2",
    activation="gelu_new",
    gated=False,
    expansion=4,
    tied=True,
    centred=True,
    qkv_biases=True,
    output_bias=True,
    mlp_biases=True,
    extra_positions=0,
)
