"""The same file evaluated in float32 on dequantised weights: what the accelerator's numerics are measured against."""

import numpy as np
from gguf.quants import dequantize
from numpy.typing import NDArray
from rtlm.host.families import Rotation
from rtlm.host.models.model import BIASED, HEAD_NORMS, LAYER_MATRICES, LAYER_NORMS, POST_NORMS, LlamaModel


class ReferenceModel:
    """Float32 evaluation of whole sequences.

    The weights are dequantised by the ``gguf`` package, so nothing is shared with the golden model but the file.

    Parameters
    ----------
    model
        The model; its dequantised weights take four bytes each.
    """

    def __init__(self, model: LlamaModel):
        self.model = model

        def matrix(name: str, layer: int | None = None) -> NDArray[np.float32]:
            tensor = model.matrix(name, layer)
            return dequantize(tensor.data, tensor.type)

        self._embedding = matrix("token_embd")
        self._output = self._embedding if model.tied else matrix("output")
        norms = [*LAYER_NORMS, *HEAD_NORMS * model.head_normed, *POST_NORMS * model.post_normed]
        self._layers = [
            {name: matrix(name, layer) for name in LAYER_MATRICES}
            | {name: model.vector(name, layer) for name in norms}
            | {f"{name}.bias": model.vector(name, layer, kind="bias") for name in (BIASED if model.biased else ())}
            for layer in range(model.layers)
        ]
        self._output_norm = model.vector("output_norm")

    def logits(self, tokens: NDArray[np.integer] | list[int]) -> NDArray[np.float32]:
        """Return the logits after each token of one sequence that starts at position 0, shape (tokens, vocab)."""
        scalars = self.model.scalars
        x = self._embedding[np.asarray(tokens)] * np.float32(scalars.embedding)
        residual = np.float32(scalars.residual)
        for index, layer in enumerate(self._layers):
            added = self._attention(index, layer, self._normalise(x, layer["attn_norm"]))
            x = x + residual * self._normalise_added(layer, added, "post_attention_norm")
            h = self._normalise(x, layer["ffn_norm"])
            gate, up = h @ layer["ffn_gate"].T, h @ layer["ffn_up"].T
            added = (self._activate(gate) * up) @ layer["ffn_down"].T
            x = x + residual * self._normalise_added(layer, added, "post_ffw_norm")
        return self._normalise(x, self._output_norm) @ self._output.T / np.float32(scalars.logit)

    def _normalise(self, x: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
        mean: NDArray[np.float32] = np.mean(x * x, axis=-1, keepdims=True)
        return x / np.sqrt(mean + np.float32(self.model.rms_eps)) * weight

    def _normalise_added(
        self, layer: dict[str, NDArray[np.float32]], added: NDArray[np.float32], norm: str
    ) -> NDArray[np.float32]:
        return self._normalise(added, layer[norm]) if norm in layer else added

    def _activate(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.model.gelu:
            inner = np.float32(np.sqrt(2 / np.pi)) * (x + np.float32(0.044715) * x**3)
            return np.float32(0.5) * x * (1 + np.tanh(inner))
        activated: NDArray[np.float32] = x / (1 + np.exp(-x))
        return activated

    def _attention(
        self, index: int, layer: dict[str, NDArray[np.float32]], h: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        model, count = self.model, len(h)
        scale = np.float32(model.head_dim**-0.5 if model.scalars.attention is None else model.scalars.attention)
        windowed = index in model.windowed
        cos, sin = model.rope_table(range(count), windowed=windowed)

        def heads(name: str) -> NDArray[np.float32]:
            y = h @ layer[name].T + layer.get(f"{name}.bias", np.float32(0))
            y = y.reshape(count, -1, model.head_dim).transpose(1, 0, 2)
            return self._normalise(y, layer[f"{name}_norm"]) if f"{name}_norm" in layer else y

        def rotate(x: NDArray[np.float32]) -> NDArray[np.float32]:
            if index in model.rotation_free:
                return x
            halves = model.family.rotation is Rotation.HALVES
            half = model.head_dim // 2
            first, second = (x[..., :half], x[..., half:]) if halves else (x[..., ::2], x[..., 1::2])
            turned = [first * cos - second * sin, first * sin + second * cos]
            rotated: NDArray[np.float32] = np.concatenate(turned, -1) if halves else np.stack(turned, -1)
            return rotated.reshape(x.shape)

        q, k, v = rotate(heads("attn_q")), rotate(heads("attn_k")), heads("attn_v")
        group = model.heads // model.kv_heads
        unseen = np.triu(np.ones((count, count), bool), 1)
        if windowed:
            unseen |= np.tril(np.ones((count, count), bool), -model.window)
        out = np.empty(q.shape, np.float32)
        for head in range(model.heads):
            scores = q[head] @ k[head // group].T * scale
            scores[unseen] = -np.inf
            weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
            weights /= weights.sum(axis=-1, keepdims=True)
            out[head] = weights @ v[head // group]
        return out.transpose(1, 0, 2).reshape(count, -1) @ layer["attn_output"].T
