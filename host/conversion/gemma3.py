"""What a Gemma 3's config.json says beyond a llama's."""

from typing import Any

import gguf
from rtlm.host.errors import ModelError
from rtlm.host.families import GELU, Family
from rtlm.host.models.paper import windows_of
from rtlm.host.models.shape_file import Sizes

FREQUENCIES = "rope_local_base_freq"
"""Base of RoPE in layers with a window."""


def check_gemma3(config: dict[str, Any], sizes: Sizes) -> None:
    """Refuse what a GGUF file of this family cannot say, or what the family does not have.

    Raises
    ------
    ModelError
        Naming key and value.
    """
    for key in ("head_dim", "rms_norm_eps", "rope_theta", FREQUENCIES, "sliding_window"):
        if config.get(key) is None:
            raise ModelError(f"{key} is missing")
    for key, allowed in (
        ("query_pre_attn_scalar", sizes.head_dim),
        ("hidden_activation", GELU),
        ("attn_logit_softcapping", None),
        ("final_logit_softcapping", None),
        ("use_bidirectional_attention", False),
        ("attention_bias", False),
    ):
        if (value := config.get(key, allowed)) != allowed:
            raise ModelError(f"{key} must be {allowed}, got {value!r:.40}")


def write_windows(writer: gguf.GGUFWriter, family: Family, sizes: Sizes, config: dict[str, Any]) -> None:
    """Write which layers attend to a window, its length, and the base of their RoPE.

    Raises
    ------
    ModelError
        If that base is no number, or layers are named otherwise.
    """
    base = config[FREQUENCIES]
    if isinstance(base, bool) or not isinstance(base, int | float) or not 0 < base < 1e12:
        raise ModelError(f"{FREQUENCIES} must be above 0 and below 1e12, got {base!r:.40}")
    found = windows_of(sizes, family)
    writer.add_float32(gguf.Keys.Rope.FREQ_BASE_SWA.format(arch=family.architecture), float(base))
    writer.add_sliding_window(found["window"])
    writer.add_sliding_window_pattern([layer in found["windowed"] for layer in range(sizes.num_hidden_layers)])
