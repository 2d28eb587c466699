"""The float32 evaluation, against a plain loop over tokens and heads in double precision."""

import gguf
import numpy as np
import pytest
from rtlm.host.golden.reference import ReferenceModel
from rtlm.host.models.model import LlamaModel


@pytest.fixture(scope="module")
def model(random_model) -> LlamaModel:
    return LlamaModel.open(random_model(seed=1, layers=2, heads=4, kv_heads=2, tied=False))


def plain(model: LlamaModel, tokens: list[int]) -> np.ndarray:
    """Vaswani et al. with the llama changes, one token and one head at a time."""

    def matrix(name, layer=None):
        tensor = model.matrix(name, layer)
        return gguf.quants.dequantize(tensor.data, tensor.type).astype(float)

    def norm(x, weight):
        return x / np.sqrt((x * x).mean() + model.rms_eps) * weight

    def rotate(x, position):
        out = x.copy()
        for i in range(0, model.head_dim, 2):
            z = complex(x[i], x[i + 1]) * np.exp(1j * position * model.rope_theta ** (-i / model.head_dim))
            out[i : i + 2] = z.real, z.imag
        return out

    keys, values, logits = {}, {}, []
    for position, token in enumerate(tokens):
        x = matrix("token_embd")[token]
        for layer in range(model.layers):
            h = norm(x, model.norm("attn_norm", layer))
            q, k, v = ((matrix(name, layer) @ h).reshape(-1, model.head_dim) for name in ("attn_q", "attn_k", "attn_v"))
            keys.setdefault(layer, []).append([rotate(head, position) for head in k])
            values.setdefault(layer, []).append(v)
            heads = []
            for head in range(model.heads):
                kv = head * model.kv_heads // model.heads
                scores = [rotate(q[head], position) @ k[kv] / np.sqrt(model.head_dim) for k in keys[layer]]
                weights = np.exp(np.array(scores) - max(scores))
                heads.append(weights / weights.sum() @ np.array([v[kv] for v in values[layer]]))
            x = x + matrix("attn_output", layer) @ np.concatenate(heads)
            h = norm(x, model.norm("ffn_norm", layer))
            gate, up = matrix("ffn_gate", layer) @ h, matrix("ffn_up", layer) @ h
            x = x + matrix("ffn_down", layer) @ (gate / (1 + np.exp(-gate)) * up)
        logits.append(matrix("output") @ norm(x, model.norm("output_norm")))
    return np.array(logits)


def test_equals_the_plain_evaluation(model):
    tokens = [5, 300, 17, 17, 0, 44, 123]
    np.testing.assert_allclose(ReferenceModel(model).logits(tokens), plain(model, tokens), atol=2e-5)
