"""OPT (Zhang et al., arXiv:2205.01068)."""

from rtlm.host.families.family import Family

FAMILY = Family(
    architecture="opt",
    model_type="opt",
    activation="relu",
    gated=False,
    tied=True,
    centred=True,
    qkv_biases=True,
    output_bias=True,
    mlp_biases=True,
    extra_positions=2,
)
