"""The sizes of a model from a Hugging Face config.json, or from a YAML file with the same keys.

The file is untrusted: its length and every number have bounds, and each error is one sentence.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, StrictBool, ValidationError
from rtlm.gen.configuration.fields import REFUSED, Choice, Real, Whole, closest, shown, shown_key
from rtlm.host.errors import ModelError
from rtlm.host.families import BY_MODEL_TYPE
from rtlm.hw.formats import BLOCK

MAX_FILE_BYTES = 1 << 16
"""A config.json has about 1 KiB."""

MAX_WIDTH = 1_000_000
MAX_LAYERS = 1000
MAX_VOCABULARY = 10_000_000
MAX_CONTEXT = 100_000_000


def _named(*names: str, default: Any = ...) -> Any:
    """Declare a key by all the names that families give it."""
    return Field(default, validation_alias=AliasChoices(*names))


class Sizes(BaseModel):
    """What a config.json says of a model's sizes; the keys are those of llama, with other families' names beside them.

    What a family's files may leave out is None. Three keys are for files that are shipped: `source` of the sizes, and
    `parameters`, the number of weights as it was published, with `parameters_source`.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", loc_by_alias=False)

    model_type: Annotated[str, Choice(tuple(BY_MODEL_TYPE))]
    hidden_size: Annotated[int, Whole(low=BLOCK, high=MAX_WIDTH, multiple_of=BLOCK)] = _named("hidden_size", "n_embd")
    num_hidden_layers: Annotated[int, Whole(low=1, high=MAX_LAYERS)] = _named(
        "num_hidden_layers", "n_layer", "num_layers"
    )
    num_attention_heads: Annotated[int, Whole(low=1, high=MAX_WIDTH)] = _named("num_attention_heads", "n_head")
    vocab_size: Annotated[int, Whole(low=1, high=MAX_VOCABULARY)]
    max_position_embeddings: Annotated[int, Whole(low=1, high=MAX_CONTEXT)] = _named(
        "max_position_embeddings", "n_positions", "max_sequence_length"
    )
    intermediate_size: Annotated[int | None, Whole(low=BLOCK, high=MAX_WIDTH, multiple_of=BLOCK)] = _named(
        "intermediate_size", "n_inner", "ffn_dim", "inner_hidden_size", default=None
    )
    num_key_value_heads: Annotated[int | None, Whole(low=1, high=MAX_WIDTH)] = None
    head_dim: Annotated[int | None, Whole(low=2, high=MAX_WIDTH, multiple_of=2)] = None
    rms_norm_eps: Annotated[float, Real(low=1e-12, high=1)] = _named(
        "rms_norm_eps", "layer_norm_epsilon", "layer_norm_eps", "layernorm_epsilon", default=1e-5
    )
    tie_word_embeddings: StrictBool | None = None
    hidden_act: str | None = None
    attention_bias: StrictBool = False
    mlp_bias: StrictBool = False
    use_sliding_window: StrictBool = False
    sliding_window: Annotated[int | None, Whole(low=1, high=MAX_CONTEXT)] = None
    sliding_window_pattern: Annotated[int | None, Whole(low=1, high=MAX_LAYERS)] = _named(
        "sliding_window_pattern", "_sliding_window_pattern", default=None
    )
    layer_types: list[str] | None = None
    rope_scaling: dict[str, Any] | None = None
    word_embed_proj_dim: Annotated[int | None, Whole(low=1, high=MAX_WIDTH)] = None
    source: str = ""
    parameters: Annotated[int | None, Whole(low=1, high=1 << 60)] = None
    parameters_source: str = ""


def read_sizes(path: str | Path) -> Sizes:
    """Read the sizes from a file; what ends in ``.json`` may have keys that say nothing of sizes, YAML may not.

    Raises
    ------
    ModelError
        Naming file, key and value.
    """
    name, path = str(path), Path(path)
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
        if len(raw) > MAX_FILE_BYTES:
            raise ModelError(f"{name}: the file must have at most {MAX_FILE_BYTES} bytes")
        text = raw.decode("utf-8")
    except OSError as error:
        raise ModelError(f"{name}: the file cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ModelError(f"{name}: the file must be UTF-8 text") from None
    return parse_sizes(text, name, strict=path.suffix != ".json")


def parse_sizes(text: str, name: str, *, strict: bool) -> Sizes:
    """Read the sizes from a text.

    Parameters
    ----------
    text
        JSON or YAML.
    name
        Where it came from, for messages.
    strict
        Whether it is YAML, in which unknown keys are refused.

    Raises
    ------
    ModelError
        Naming file, key and value.
    """
    try:
        values = yaml.safe_load(text) if strict else json.loads(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ModelError(f"{name}: the file is not valid {'YAML' if strict else 'JSON'}") from None
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ModelError(f"{name}: the file must be a mapping of names such as hidden_size: 4096, got {shown(values)}")
    if strict and (unknown := values.keys() - set(_keys())):
        key = min(unknown)
        guess = closest(key, _keys())
        advice = f"; did you mean {guess}?" if guess else f"; the keys are {', '.join(Sizes.model_fields)}"
        raise ModelError(f"{name}: {shown_key([key])} is not a key{advice}")
    return checked_sizes(values, name)


def checked_sizes(values: Mapping[str, Any], name: str) -> Sizes:
    """Return the sizes of plain values; one that is None says what a missing one does.

    Raises
    ------
    ModelError
        Naming the file, key and value.
    """
    try:
        return Sizes.model_validate({key: value for key, value in values.items() if value is not None})
    except ValidationError as error:
        raise ModelError(f"{name}: {_sentence(error.errors()[0])}") from None


def _keys() -> list[str]:
    """Return all names of keys."""
    aliases = (field.validation_alias for field in Sizes.model_fields.values())
    return [*Sizes.model_fields, *(str(a) for each in aliases if isinstance(each, AliasChoices) for a in each.choices)]


def _sentence(entry: Any) -> str:
    """Say what is wrong with one value."""
    key, value = shown_key([str(part) for part in entry["loc"]]), entry["input"]
    match entry["type"]:
        case "missing":
            return f"{key} is missing"
        case kind if kind == REFUSED:
            return f"{key} must be {entry['ctx']['allowed']}, got {shown(value)}"
        case "bool_type":
            return f"{key} must be true or false, got {shown(value)}"
        case "string_type":
            return f"{key} must be a text, got {shown(value)}"
        case "list_type":
            return f"{key} must be a list, got {shown(value)}"
        case _:
            return f"{key} must be a mapping, got {shown(value)}"
