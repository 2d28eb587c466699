"""The page of models on paper: which sizes are shipped, and what the gates do not execute of each family."""

from rtlm.host.families import BY_MODEL_TYPE, Family, Rotation
from rtlm.host.models.paper import GROUPS, open_model, shipped_names, shipped_sizes
from rtlm.host.models.shape_file import MAX_FILE_BYTES, Sizes
from rtlm.hw.common.markdown import table, wrapped
from rtlm.hw.formats import BlockFormat

SHIPPED_KEYS = ("source", "parameters", "parameters_source")


def models_page() -> str:
    """Describe models on paper."""
    return wrapped("\n".join((_head(), _shipped(), _families(), _own())))


def _head() -> str:
    formats = ", ".join(f"`{format.name.lower()}`" for format in BlockFormat)
    return (
        "# Models on paper\n\n"
        "A plan needs a model's sizes and no weight. Where sizes suffice, a model is named by one of the names below, "
        "by a Hugging Face config.json, by a YAML file with the same keys, or by a GGUF file. Which models run, with "
        "their weights, is said in the [README](../README.md#models).\n\n"
        f"All matrices of a model on paper have one format ({formats}; the output projection may have another), and "
        f"{', '.join(map(str, GROUPS[:-1]))} or {GROUPS[-1]} weights share a scale. A GGUF file "
        "that the gates execute keeps its own; any other of these families is estimated by its sizes.\n"
    )


def _shipped() -> str:
    head = ("name", "family", "layers", "width", "feed-forward", "heads", "KV heads", "head", "vocabulary")
    rows = []
    for name in shipped_names():
        model, sizes = open_model(name), shipped_sizes(name)
        shape = model.shape
        cells = (shape.layers, shape.dim, shape.hidden_dim, shape.heads, shape.kv_heads, shape.head_dim, shape.vocab)
        published = f"[{sizes.parameters:,}]({sizes.parameters_source})"
        weights = f"{model.parameters:,}"
        rows.append((f"[`{name}`]({sizes.source})", model.family, *cells, model.context, weights, published))
    return (
        "## Shipped sizes\n\n"
        "Each name leads to the config.json that states its sizes, each published number of weights, as rounded there, "
        "to where it was published. The other number follows from the sizes; a test holds the two within 1 %.\n\n"
        f"{table((*head, 'context', 'weights', 'published'), rows)}"
    )


def _families() -> str:
    rows = [
        (
            f"`{family.architecture}`",
            f"`{kind}`",
            "; ".join(family.missing) or " and ".join(("yes", *(f"with `{key}`" for key in family.switches))),
            "; ".join(_folded(family)),
        )
        for kind, family in BY_MODEL_TYPE.items()
    ]
    return (
        "## Families\n\n"
        "The gates execute the layer of a llama. What a family has beyond it, the host folds into weights, tables and "
        "constants where that gives the same model ([numerics](numerics.md#families)); a family that has more does not "
        "run. On paper, it is planned with its own matrices and the order of a llama's layer, and says what is left "
        "out:\n\n"
        f"{table(('GGUF', '`model_type`', 'runs, or what the gates do not execute', 'folded by the host'), rows)}\n"
        "The file of a model can add to this: `attention_bias`, `mlp_bias`, another `hidden_act`, "
        "`use_sliding_window`, rotary frequencies scaled in other ways than `linear`, `llama3` and `yarn`, and heads "
        "whose width is not a power of two.\n"
    )


def _folded(family: Family) -> list[str]:
    phrases = {
        "RoPE of halves of a head, as rows in another order": family.rotation is Rotation.HALVES,
        "layers without RoPE, as a table without rotation": (
            family.rotation_free_step is not None or family.rotation_switch
        ),
        "factors of embedding, residual stream, scores and logits": family.scalars,
        "the factor of the embedding": family.root_scaled_embedding,
    }
    return [phrase for phrase, has in phrases.items() if has]


def _own() -> str:
    keys = ", ".join(f"`{key}`" for key in Sizes.model_fields if key not in SHIPPED_KEYS)
    return (
        "## Sizes of your own\n\n"
        "    # mine.yaml: a quarter of Llama 2 7B\n"
        "    model_type: llama\n"
        "    hidden_size: 2048\n"
        "    intermediate_size: 5504\n"
        "    num_hidden_layers: 16\n"
        "    num_attention_heads: 16\n"
        "    vocab_size: 32000\n"
        "    max_position_embeddings: 4096\n\n"
        f"The keys are {keys}; other families' names for the same are understood. Widths are multiples of 32. A "
        "config.json may have other keys, a YAML file may not, and neither may have more than "
        f"{MAX_FILE_BYTES >> 10} KiB.\n"
    )
