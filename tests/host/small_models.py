"""Small random models and the sizes of accelerators for them, for tests that need both and no gates."""

from collections.abc import Iterable
from dataclasses import replace

from gguf import GGMLQuantizationType as Type
from rtlm.gen.configuration.load import load_config
from rtlm.host.models.model import LlamaModel
from rtlm.host.models.rotary import Rotary
from rtlm.hw.params import AcceleratorParams

ARRAYS = {
    "tiny": [],
    "wide, one port": [
        "matmul.lanes=256",
        "memory.ports=1",
        "memory.prefetch_kib=32",
        "attention.bytes_per_cycle=32",
    ],
    "three columns": ["matmul.columns=3", "memory.ports=4", "memory.prefetch_kib=32"],
}
"""Changes of the configuration tiny."""

SIZES = {"layers": 2, "dim": 128, "hidden_dim": 192, "heads": 4, "kv_heads": 2, "vocab": 301}
"""A model that fits each of them."""

MIXED = {
    "matrix_type": Type.Q4_1,
    "norm_type": Type.F16,
    "types": {
        "blk.0.attn_q.weight": Type.Q4_0,
        "blk.0.attn_v.weight": Type.Q8_0,
        "blk.0.attn_output.weight": Type.F16,
        "blk.1.ffn_gate.weight": Type.F32,
        "blk.1.ffn_up.weight": Type.Q8_0,
    },
}
"""Every type of tensor in one model; gate and up differ in the file and agree in memory."""


def params_of(name: str, *overrides: str) -> AcceleratorParams:
    """Return the sizes of one of `ARRAYS`."""
    return load_config("tiny", [*ARRAYS[name], *overrides]).to_params()


def with_windows(model: LlamaModel, window: int, layers: Iterable[int]) -> LlamaModel:
    """Return a model of which some layers attend to a window, with a RoPE of their own."""
    rotary = Rotary.unscaled(model.head_dim, 1e3)
    return replace(model, windowed=frozenset(layers), window=window, window_rotary=rotary)
