"""Architectures of models on paper: what each has that a llama has not, and how many weights that makes.

The gates execute the llama layer. What a family has beyond it is named in a sentence, for an estimate to say; its
matrices are planned with their own sizes.
"""

from dataclasses import dataclass

from rtlm.host.models.stored import ModelShape


@dataclass(frozen=True, kw_only=True)
class Family:
    """An architecture, by what tells it from llama.

    Parameters
    ----------
    differences
        What the gates do not execute, each a phrase.
    activation
        Activation of the feed-forward network, as ``hidden_act`` names it; None if a phrase of `differences` says it.
    gated
        Whether the feed-forward network has a gate beside its up projection.
    expansion
        Width of the feed-forward network over that of the residual stream, where a file need not say; None if it must.
    tied
        Whether the output projection is the embedding, where a file does not say.
    norms
        Normalisations of a layer as wide as the residual stream.
    centred
        Whether normalisations are LayerNorms, which have biases.
    head_norms
        Whether each head's query and key are normalised.
    qkv_biases, output_bias, mlp_biases
        Whether the projections to query, key and value have biases, attention's output projection, and the matrices of
        the feed-forward network.
    extra_positions
        Rows of a table of learned positions beyond the longest sequence; None without such a table.
    """

    differences: tuple[str, ...] = ()
    activation: str | None = None
    gated: bool = True
    expansion: int | None = None
    tied: bool = False
    norms: int = 2
    centred: bool = False
    head_norms: bool = False
    qkv_biases: bool = False
    output_bias: bool = False
    mlp_biases: bool = False
    extra_positions: int | None = None

    def parameters(self, shape: ModelShape, *, context: int, tied: bool) -> int:
        """Return the number of weights.

        Parameters
        ----------
        shape
            The model's sizes.
        context, tied
            As in `rtlm.host.models.model.LlamaModel`.
        """
        dim, attention, keys = shape.dim, shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        norm = dim * (2 if self.centred else 1)
        inner = shape.hidden_dim * (2 if self.gated else 1)
        layer = 2 * dim * (attention + keys) + dim * (inner + shape.hidden_dim) + self.norms * norm
        if self.head_norms:
            layer += 2 * shape.head_dim
        if self.qkv_biases:
            layer += attention + 2 * keys
        if self.output_bias:
            layer += dim
        if self.mlp_biases:
            layer += inner + dim
        positions = 0 if self.extra_positions is None else context + self.extra_positions
        return shape.layers * layer + norm + dim * (shape.vocab * (1 if tied else 2) + positions)


_NO_GATE = "the feed-forward network has two matrices and no gate"
_LAYER_NORM = "LayerNorm instead of RMSNorm"
_LEARNED_POSITIONS = "learned positions instead of RoPE"
_BIASES = "biases on all matrices of a layer"
_HEAD_NORMS = "RMSNorm of each head's query and key"

FAMILIES = {
    "llama": Family(activation="silu"),
    "qwen2": Family(differences=("biases on query, key and value",), activation="silu", qkv_biases=True),
    "qwen3": Family(differences=(_HEAD_NORMS,), activation="silu", head_norms=True),
    "gemma3_text": Family(
        differences=(
            _HEAD_NORMS,
            "RMSNorm also behind attention and feed-forward network",
            "GELU instead of SiLU in the gate",
            "sliding-window attention in most layers, with a RoPE base of its own (estimated as full attention)",
            "embedding scaled by the root of its width",
        ),
        tied=True,
        norms=4,
        head_norms=True,
    ),
    "gpt2": Family(
        differences=(_NO_GATE, "GELU", _LAYER_NORM, _LEARNED_POSITIONS, _BIASES),
        gated=False,
        expansion=4,
        tied=True,
        centred=True,
        qkv_biases=True,
        output_bias=True,
        mlp_biases=True,
        extra_positions=0,
    ),
    "opt": Family(
        differences=(_NO_GATE, "ReLU", _LAYER_NORM, _LEARNED_POSITIONS, _BIASES),
        gated=False,
        tied=True,
        centred=True,
        qkv_biases=True,
        output_bias=True,
        mlp_biases=True,
        extra_positions=2,
    ),
    "chatglm": Family(
        differences=(
            _NO_GATE,
            "GELU",
            _LAYER_NORM,
            _BIASES,
            "RoPE over two positions, half a head each",
            "residual taken behind the normalisation and scaled",
        ),
        gated=False,
        tied=True,
        centred=True,
        qkv_biases=True,
        output_bias=True,
        mlp_biases=True,
    ),
}
"""Families by the ``model_type`` of their config.json.

Sources: the modelling code of Hugging Face transformers, and modeling_chatglm.py beside the weights of ChatGLM-6B.
"""
