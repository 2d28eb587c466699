"""Chat templates of known models, and of nobody's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rtlm.host.errors import ModelError
from rtlm.host.models import chat_template
from rtlm.host.models.chat_template import render

from tests.host.models.test_fuzz import fuzz, one_line

MESSAGES = [{"role": "user", "content": "hello"}]


def test_values_and_messages():
    text = "{{ bos_token }}{% for m in messages %}{{ m.role }}:{{ m['content'] }}{% endfor %}"
    assert render(text, MESSAGES, bos_token="<s>") == "<s>user:hello"


def test_what_transformers_has():
    message = {"role": "ü", "content": "<'"}
    assert render("{{ messages[0] | tojson }}", [message]) == '{"role": "ü", "content": "<\'"}'
    assert render("{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", MESSAGES) == "01"
    assert render("{%- if strftime_now is defined %}today{% else %}26 Jul 2024{% endif %}", MESSAGES) == "26 Jul 2024"
    assert render("  {% if true %}\na\n  {% endif %}\nb", MESSAGES) == "a\nb"


def test_text_of_messages_is_not_run():
    message = {"role": "user", "content": "{{ 1 + 1 }}{% endfor %} \ud800 \x00"}
    assert render("{{ messages[0].content }}", [message]) == message["content"]


LOOPS = "".join(f"{{% for i{n} in range(99999) %}}" for n in range(4)) + "{% endfor %}" * 4

HOSTILE = {
    "syntax": ("{% for %}", "cannot be rendered"),
    "escape": ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "unsafe|cannot be rendered"),
    "attributes": ("{{ raise_exception.__globals__.json }}", "unsafe|cannot be rendered"),
    "format": ("{{ '{0.__class__.__init__.__globals__}'.format(messages) }}", "unsafe|cannot be rendered"),
    "refusal": ("{{ raise_exception('only one\nuser') }}", "rendered: only one user"),
    "control characters": (r"{{ raise_exception('a\x1b[31mb') }}", "rendered: a\ufffd"),
    "long refusal": ("{{ raise_exception('a' * 100000) }}", "rendered: a+…"),
    "size": ("{% for i in range(90000) %}{% for j in range(99) %}abcd{% endfor %}{% endfor %}", "more than 4194304"),
    "range": ("{% for i in range(10 ** 9) %}{% endfor %}", "cannot be rendered: Range too big"),
    "product": ("{{ 'a' * 10 ** 10 }}", "it takes more than 512 MiB"),
    "padding": ("{{ 'a'.ljust(10 ** 10) }}", "it takes more than 512 MiB"),
    "doubling": (
        "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "it takes more than 512 MiB",
    ),
    "recursion": ("{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}", "cannot be rendered: maximum recursion depth"),
    "length": ("a" * 70000, "must have at most 65536 characters, got 70000"),
    "none": ("", "no chat template"),
    "type": ("{{ messages + 1 }}", "cannot be rendered"),
    "files": ("{% include '/etc/passwd' %}", "cannot be rendered"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_templates_are_refused(name):
    template, message = HOSTILE[name]
    with pytest.raises(ModelError, match=message) as caught:
        render(template, MESSAGES)
    one_line(str(caught.value))


@pytest.mark.parametrize("template", ["{{ 9 ** (9 ** 9) }}", LOOPS], ids=["power", "loops"])
def test_endless_templates_are_ended(monkeypatch, template):
    monkeypatch.setattr(chat_template, "MAX_SECONDS", 1)
    with pytest.raises(ModelError, match="must be rendered within 1 s of processor time"):
        render(template, MESSAGES)


def test_a_process_that_dies_is_an_error(monkeypatch, tmp_path):
    program = tmp_path / "program.py"
    program.write_text("import sys; sys.exit(3)", encoding="utf-8")
    monkeypatch.setattr(chat_template, "_PROGRAM", program)
    with pytest.raises(ModelError, match="its process ended with 3"):
        render("a", MESSAGES)


PIECES = ["{{", "}}", "{%", "%}", "{#", "#}", "messages", "[0]", ".content", "|", "tojson", "for", "in", "if", "endif"]


@pytest.mark.slow
@fuzz(60)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=12).map(" ".join))
def test_any_text_is_rendered_or_refused(template):
    try:
        render(template, MESSAGES)
    except ModelError as error:
        one_line(str(error))
