"""What clients may ask for: the fields of OpenAI's requests that are supported, and a sentence for what is not.

Bodies are untrusted: every number has a range, nesting is bounded by the parser, and length by who reads the body.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictStr,
    ValidationError,
    model_validator,
)
from pydantic_core import from_json
from rtlm.gen.configuration.fields import REFUSED, Choice, Real, Whole, refuse, shown, shown_key
from rtlm.host.serving.errors import ApiError
from rtlm.host.session_options import MAX_TEMPERATURE

MAX_SEED = (1 << 63) - 1
MAX_TOKENS = (1 << 31) - 1
MAX_STOPS = 4
MAX_STOP_CHARACTERS = 256
MIN_TOP_P = 1e-6
MAX_SHOWN = 120
"""Characters of a value in a sentence."""

IGNORED = frozenset(
    {
        "metadata",
        "parallel_tool_calls",
        "prompt_cache_key",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "user",
    }
)
"""Fields that change nothing in the answer, whatever they say."""

NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "audio": (),
    "best_of": (1,),
    "echo": (False,),
    "frequency_penalty": (0,),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": (["text"],),
    "n": (1,),
    "prediction": (),
    "presence_penalty": (0,),
    "reasoning_effort": (),
    "response_format": ({"type": "text"},),
    "suffix": ("",),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
    "verbosity": (),
    "web_search_options": (),
}
"""Fields that are not supported, with the values (besides null) that ask for nothing."""

NEUTRAL_IN_MESSAGES: Mapping[str, tuple[Any, ...]] = {
    "annotations": ([],),
    "audio": (),
    "function_call": (),
    "name": (),
    "refusal": (),
    "tool_calls": ([],),
}


def _same(value: Any, other: Any) -> bool:
    """Return whether two values are one in JSON, where a number is no truth value."""
    return value == other and isinstance(value, bool) == isinstance(other, bool)


class _Fields(BaseModel):
    """Fields of which null says the same as leaving them out, and others are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    ignored: ClassVar[frozenset[str]] = frozenset()
    neutral: ClassVar[Mapping[str, tuple[Any, ...]]] = {}

    @model_validator(mode="before")
    @classmethod
    def _without_what_asks_for_nothing(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {
            key: value
            for key, value in values.items()
            if not (
                value is None
                or key in cls.ignored
                or any(_same(value, nothing) for nothing in cls.neutral.get(key, ()))
            )
        }


def _text(value: Any) -> str:
    """Return a content, which is a text or a list of parts that are texts."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise refuse("a text or a list of texts", None)
    for part in value:
        if not (isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)):
            raise refuse("a text, or a list of parts of type text", None)
    return "".join(part["text"] for part in value)


def _stop(value: Any) -> tuple[str, ...]:
    """Return the texts at which an answer ends."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or len(texts) > MAX_STOPS or not all(isinstance(text, str) for text in texts):
        raise refuse(f"a text or a list of at most {MAX_STOPS} texts", None)
    if not all(1 <= len(text) <= MAX_STOP_CHARACTERS for text in texts):
        raise refuse(f"texts of 1 to {MAX_STOP_CHARACTERS} characters", None)
    return tuple(texts)


def _prompt(value: Any) -> str:
    """Return a prompt, which may be the only one of a list."""
    if isinstance(value, list) and len(value) == 1:
        (value,) = value
    if not isinstance(value, str) or not value:
        raise refuse("one text that is not empty", None)
    return value


class Message(_Fields):
    """Something that was said."""

    neutral: ClassVar = NEUTRAL_IN_MESSAGES
    role: Annotated[str, Choice(("system", "developer", "user", "assistant"))]
    content: Annotated[str, BeforeValidator(_text)]


class StreamOptions(_Fields):
    """What a stream holds besides the answer."""

    ignored: ClassVar = frozenset({"include_obfuscation"})
    include_usage: StrictBool = False


class AnswerFields(_Fields):
    """Fields that both kinds of request have; None takes what the server was started with."""

    ignored: ClassVar = IGNORED
    neutral: ClassVar = NEUTRAL
    model: StrictStr | None = None
    max_tokens: Annotated[int | None, Whole(low=1, high=MAX_TOKENS)] = None
    temperature: Annotated[float | None, Real(low=0, high=MAX_TEMPERATURE)] = None
    top_p: Annotated[float | None, Real(low=MIN_TOP_P, high=1)] = None
    seed: Annotated[int | None, Whole(low=0, high=MAX_SEED)] = None
    stop: Annotated[tuple[str, ...], BeforeValidator(_stop)] = ()
    stream: StrictBool = False
    stream_options: StreamOptions | None = None

    @property
    def most_tokens(self) -> int | None:
        """Tokens to generate at most."""
        return self.max_tokens

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with the numbers of tokens."""
        return self.stream_options is not None and self.stream_options.include_usage


class ChatFields(AnswerFields):
    """Body of ``POST /v1/chat/completions``."""

    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: Annotated[int | None, Whole(low=1, high=MAX_TOKENS)] = None

    @property
    def most_tokens(self) -> int | None:
        """Tokens to generate at most, by the newer of the two names where both are given."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens


class CompletionFields(AnswerFields):
    """Body of ``POST /v1/completions``."""

    prompt: Annotated[str, BeforeValidator(_prompt)]


Fields = TypeVar("Fields", bound=AnswerFields)


def parse_fields(kind: type[Fields], body: bytes) -> Fields:
    """Return the fields of a body.

    Raises
    ------
    ApiError
        If the body is no JSON, or a field is not allowed; the sentence says which and what is.
    """
    try:
        values = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise ApiError(400, f"The body must be JSON: {error!s:.120}.", code="invalid_json") from None
    if not isinstance(values, dict):
        raise ApiError(400, f"The body must be a JSON object, got {_shown(values)}.", code="invalid_json")
    try:
        fields = kind.model_validate(values)
    except ValidationError as error:
        raise _refusal(error.errors(include_url=False)[0]) from None
    if fields.stream_options and not fields.stream:
        raise ApiError(400, "stream_options needs stream: true.", param="stream_options", code="invalid_value")
    return fields


def _refusal(entry: Any) -> ApiError:
    """Say what is wrong with one field."""
    path = [str(part) for part in entry["loc"]]
    key, value, name = shown_key(path), _shown(entry["input"]), path[-1]
    code = "invalid_value"
    match entry["type"]:
        case "missing":
            text, code = f"{key} is missing", "missing_required_parameter"
        case "extra_forbidden":
            neutral = (NEUTRAL if len(path) == 1 else NEUTRAL_IN_MESSAGES).get(name)
            text, code = f"{key} is not supported", "unsupported_parameter"
            if neutral:
                allowed = " or ".join(json.dumps(nothing) for nothing in neutral)
                text, code = f"{key} must be {allowed} or left out, got {value}", "unsupported_value"
        case kind if kind == REFUSED:
            text = f"{key} must be {entry['ctx']['allowed']}, got {value}"
        case "bool_type":
            text = f"{key} must be true or false, got {value}"
        case "string_type":
            text = f"{key} must be a text, got {value}"
        case "list_type" | "too_short":
            text = f"{key} must be a list of at least one message, got {value}"
        case _:
            text = f"{key} must be an object, got {value}"
    return ApiError(400, f"{text}.", param=key, code=code)


def _shown(value: Any) -> str:
    """Write a value, of which nested ones may take much room."""
    text = json.dumps(value) if isinstance(value, bool) else shown(value)
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…"
