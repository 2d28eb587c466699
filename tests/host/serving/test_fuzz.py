"""Bodies of any kind are read, or refused in one printable line."""

import json

from hypothesis import given
from hypothesis import strategies as st
from rtlm.host.serving.errors import ApiError
from rtlm.host.serving.fields import IGNORED, NEUTRAL, NEUTRAL_IN_MESSAGES, ChatFields, CompletionFields, parse_fields
from rtlm.host.serving.hosts import host_name, is_address
from rtlm.host.session_options import MAX_TEMPERATURE

MAX_CHARACTERS = 300

PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
NAMES = sorted({*ChatFields.model_fields, *CompletionFields.model_fields, *NEUTRAL, *NEUTRAL_IN_MESSAGES, *IGNORED})
KEYS = st.sampled_from([*NAMES, "role", "content", "type", "text", "include_usage"]) | st.text(max_size=60)
VALUES = st.recursive(
    PLAIN | st.sampled_from(["user", "system", "text", 10**300, -(10**300)]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)
MESSAGES = st.lists(st.fixed_dictionaries({"role": st.just("user"), "content": VALUES}), max_size=3)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=6)
BODIES = st.one_of(
    st.binary(max_size=60),
    VALUES.map(lambda value: json.dumps(value).encode()),
    st.tuples(OBJECTS, MESSAGES).map(lambda both: json.dumps(both[0] | {"messages": both[1]}).encode()),
    OBJECTS.map(lambda values: json.dumps({"prompt": "a"} | values).encode()),
)


@given(BODIES, st.sampled_from([ChatFields, CompletionFields]))
def test_bodies(body, kind):
    try:
        fields = parse_fields(kind, body)
    except ApiError as error:
        message = error.to_json()["error"]["message"]
        assert error.status == 400
        assert message.isprintable() and len(message) <= MAX_CHARACTERS, message
        assert message.endswith(".")
    else:
        assert 0 <= (fields.temperature or 0) <= MAX_TEMPERATURE
        assert fields.most_tokens is None or fields.most_tokens >= 1
        assert len(fields.stop) <= 4


@given(st.text(max_size=30) | st.from_regex(r"\A(\[[0-9a-f:.%]*\]?|[0-9.]*)(:[0-9]*)?\Z"))
def test_hosts(host):
    name = host_name(host)
    if is_address(name):
        assert set(name.partition("%")[0]) <= set("0123456789abcdefABCDEF:.")
