"""What a family of models is described by, and what of it the gates lack."""

from dataclasses import dataclass
from enum import Enum

GELU = "gelu_pytorch_tanh"
"""The activation of Hendrycks and Gimpel (arXiv:1606.08415), by their formula with the hyperbolic tangent."""

SWITCHES = {
    "vector.biases": "biases on query, key and value",
    "vector.head_norms": "RMSNorm of each head's query and key",
    "vector.post_norms": "RMSNorm behind attention and feed-forward network",
    "vector.gelu": "GELU instead of SiLU in the gate",
    "attention.windows": "sliding-window attention",
}
"""What the gates execute only in a configuration that says so: its keys, which are true or false, and phrases."""


class Rotation(Enum):
    """Which two components of a head RoPE turns together."""

    NEIGHBOURS = "2i and 2i + 1"
    HALVES = "i and i + head_dim / 2"


@dataclass(frozen=True, kw_only=True)
class Family:
    """A family of models, by what tells it from llama.

    The gates execute a llama's layer. Some of what families add to it the host folds into weights, tables and constants
    (`rotation`, `rotation_free_step`, `scalars`, `root_scaled_embedding`), some the gates execute where they are made
    for it (`switches`); `missing` names what neither can.

    Parameters
    ----------
    architecture
        Its name in GGUF files.
    model_type
        Its name in a Hugging Face config.json.
    activation
        Activation of the feed-forward network, as ``hidden_act`` names it.
    gated
        Whether the feed-forward network has a gate beside its up projection.
    expansion
        Width of the feed-forward network over that of the residual stream, where a file need not say; None if it must.
    tied
        Whether the output projection is the embedding, where a file does not say.
    post_norms
        Whether what attention and feed-forward network add is normalised, too.
    centred
        Whether normalisations are LayerNorms, which have biases.
    head_norms
        Whether each head's query and key are normalised.
    qkv_biases, output_bias, mlp_biases
        Whether the projections to query, key and value have biases, attention's output projection, and the matrices of
        the feed-forward network.
    extra_positions
        Rows of a table of learned positions beyond the longest sequence; None without such a table.
    rotation
        What RoPE turns together in the family's GGUF files.
    rotation_switch
        Whether a file that says ``rope.scaling.finetuned = false`` means that no layer has RoPE.
    rotation_free_step
        Every so many layers, one has no RoPE; None if all have it.
    window_step
        Every so many layers, one attends to all positions, the others to a window of the last ones; None if all
        attend to all.
    window_base
        Base of RoPE in layers with a window, where a file does not say.
    offset_norms
        Whether norms multiply with their weights plus 1 in Hugging Face folders; in GGUF files the 1 has been added.
    scalars
        Whether a file may state factors of the embedding, of what is added to the residual stream, of attention's
        scores, and a divisor of the logits.
    root_scaled_embedding
        Whether the embedding is multiplied by the root of its width.
    remarks
        What else the gates lack, each a phrase.
    """

    architecture: str
    model_type: str
    activation: str = "silu"
    gated: bool = True
    expansion: int | None = None
    tied: bool = False
    post_norms: bool = False
    centred: bool = False
    head_norms: bool = False
    qkv_biases: bool = False
    output_bias: bool = False
    mlp_biases: bool = False
    extra_positions: int | None = None
    rotation: Rotation = Rotation.NEIGHBOURS
    rotation_switch: bool = False
    rotation_free_step: int | None = None
    window_step: int | None = None
    window_base: float = 10000.0
    offset_norms: bool = False
    scalars: bool = False
    root_scaled_embedding: bool = False
    remarks: tuple[str, ...] = ()

    def rotation_free(self, layers: int) -> frozenset[int]:
        """Return which of so many layers have no RoPE."""
        step = self.rotation_free_step
        return frozenset() if step is None else frozenset(range(step - 1, layers, step))

    def windowed(self, layers: int) -> frozenset[int]:
        """Return which of so many layers attend to a window only."""
        step = self.window_step
        return frozenset() if step is None else frozenset(layer for layer in range(layers) if (layer + 1) % step)

    @property
    def switches(self) -> dict[str, str]:
        """Which of `SWITCHES` the family needs."""
        has = {
            "vector.biases": self.qkv_biases and not self.mlp_biases,
            "vector.head_norms": self.head_norms,
            "vector.post_norms": self.post_norms,
            "vector.gelu": self.gated and self.activation == GELU,
            "attention.windows": self.window_step is not None,
        }
        return {key: phrase for key, phrase in SWITCHES.items() if has[key]}

    @property
    def missing(self) -> tuple[str, ...]:
        """What the gates do not execute, each a phrase; empty for a family that runs."""
        activation = {"silu": "SiLU", "relu": "ReLU"}.get(self.activation, "GELU")
        phrases = {
            "the feed-forward network has two matrices and no gate": not self.gated,
            activation: not self.gated and self.activation != "silu",
            "LayerNorm instead of RMSNorm": self.centred,
            "learned positions instead of RoPE": self.extra_positions is not None,
            "biases on all matrices of a layer": self.mlp_biases,
            f"{activation} instead of SiLU in the gate": self.gated and self.activation not in ("silu", GELU),
        }
        return (*(phrase for phrase, lacks in phrases.items() if lacks), *self.remarks)
