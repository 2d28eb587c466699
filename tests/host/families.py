"""A small random model of each family that runs, and of each way in which a file scales RoPE."""

from gguf import GGMLQuantizationType as Type

GRANITE = {"embedding_scale": 12.0, "residual_scale": 0.22, "attention.scale": 0.0625, "logit_scale": 8.0}

VARIANTS = {
    "llama": {},
    "llama, divided frequencies": {"rope_factors": (1.0, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 8.0)},
    "llama, linear": {"metadata": {"rope.scaling.type": "linear", "rope.scaling.factor": 4.0}},
    "llama, yarn": {
        "metadata": {
            "rope.scaling.type": "yarn",
            "rope.scaling.factor": 4.0,
            "rope.scaling.original_context_length": 16,
        }
    },
    "granite": {"architecture": "granite", "metadata": GRANITE},
    "granite without RoPE": {
        "architecture": "granite",
        "metadata": GRANITE | {"rope.scaling.finetuned": False},
        "tied": False,
    },
    "smollm3": {"architecture": "smollm3", "layers": 5},
    "exaone": {"architecture": "exaone"},
    "internlm2": {"architecture": "internlm2", "tied": False},
    "ernie4_5": {"architecture": "ernie4_5"},
    "qwen2": {"architecture": "qwen2"},
    "qwen3": {"architecture": "qwen3", "head_dim": 32},
    "gemma3": {
        "architecture": "gemma3",
        "layers": 7,
        "rope_theta": 1e6,
        "metadata": {"attention.sliding_window": 4},
    },
}
"""Arguments of `write_random_model`."""

FLOATS = {"matrix_type": Type.F32, "embedding_type": Type.F32}
"""Without blocks, so that nothing of a file's weights is rounded."""
