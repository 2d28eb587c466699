"""ChatGLM-6B (Zeng et al., arXiv:2210.02414), by modeling_chatglm.py beside its weights."""

from rtlm.host.families.family import Family

FAMILY = Family(
    architecture="chatglm",
    model_type="chatglm",
    activation="gelu",
    gated=False,
    tied=True,
    centred=True,
    qkv_biases=True,
    output_bias=True,
    mlp_biases=True,
    remarks=(
        "RoPE over two positions, half a head each",
        "residual taken behind the normalisation and scaled",
    ),
)
