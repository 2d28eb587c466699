"""What clients get is what `rtlm run` answers: whole and streamed, with real numbers, from gates and golden model."""

import contextlib
import http.client
import json

import pytest
from rtlm.gen.common.progress import SilentProgress
from rtlm.host import session
from rtlm.host.backend import open_backend
from rtlm.host.request import chat_prompt, make_request
from rtlm.host.runtime.generation import generate
from rtlm.host.runtime.sampling import SamplingParams
from rtlm.host.session_options import RunOptions
from rtlm.sim import accelerator

from tests.host.serving.servers import SECONDS

SILENT = SilentProgress()


def run(model, text, **options):
    """Return what `rtlm run` answers."""
    values = {"backend": "golden", "config": "tiny", "model": model, "max_tokens": 8, "chat": True}
    return session.run(RunOptions(texts=(text,), **values | options), SILENT).run.sequences[0]


def anew(model, messages, max_tokens=8, **sampling):
    """Return the answer to messages with an empty KV cache."""
    request = make_request(RunOptions(texts=(), chat=True, backend="golden", config="tiny", model=model), SILENT)
    with open_backend(request, SILENT) as backend:
        steps = generate(
            backend.stepper,
            chat_prompt(request.tokenizer, messages, None),
            max_tokens=max_tokens,
            stop=request.tokenizer.stop,
            sampling=SamplingParams(**sampling),
        )
        return request.tokenizer.decode([token for step in steps for token in step.tokens], special=False)


def test_a_whole_answer(server, model):
    expected = run(model, "hello")
    answer = server.chat("hello")
    (choice,) = answer.choices
    assert choice.message.content == expected.text
    assert (choice.message.role, choice.finish_reason, choice.index) == ("assistant", "length", 0)
    assert answer.usage.prompt_tokens == len(expected.prompt_ids)
    assert answer.usage.completion_tokens == len(expected.token_ids) == 8
    assert answer.usage.total_tokens == len(expected.prompt_ids) + 8
    assert (answer.object, answer.model) == ("chat.completion", "random")
    assert answer.rtlm["backend"] == "golden" and answer.rtlm["config"] == "tiny"
    assert answer.rtlm["cycles"] is answer.rtlm["tokens_per_s"] is None
    assert answer.rtlm["simulator_tokens_per_s"] > 0


@pytest.mark.parametrize("usage", [False, True])
def test_a_stream_is_the_same_in_pieces(server, usage):
    whole = server.chat("hello", max_tokens=12)
    options = {"stream_options": {"include_usage": True}} if usage else {}
    first, *middle = server.chat("hello", max_completion_tokens=12, stream=True, **options)
    assert (first.choices[0].delta.role, first.choices[0].delta.content) == ("assistant", "")
    last = middle.pop()
    if usage:
        assert (last.choices, last.usage.completion_tokens) == ([], 12)
        assert last.usage.prompt_tokens_details.cached_tokens == last.usage.prompt_tokens - 1
        assert last.rtlm["wall_s"] > 0
        last = middle.pop()
    else:
        assert last.rtlm["wall_s"] > 0
    assert (last.choices[0].finish_reason, last.choices[0].delta.content) == ("length", None)
    assert "".join(chunk.choices[0].delta.content for chunk in middle) == whole.choices[0].message.content
    assert len(middle) > 3
    assert {chunk.object for chunk in (first, *middle, last)} == {"chat.completion.chunk"}
    assert len({chunk.id for chunk in (first, *middle, last)}) == 1


def test_a_stream_tells_how_much_of_the_prompt_is_fed(start):
    server = start(overrides=("matmul.columns=4",))
    body = {"prompt": "a1b2c3", "max_tokens": 2, "stream": True}
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=SECONDS)) as connection:
        connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        assert response.headers["Content-Type"].startswith("text/event-stream")
        events = response.read().decode().split("\n\n")
    assert events[:2] == [": prompt 4/6", ": prompt 6/6"]
    assert all(event.startswith("data: ") for event in events[2:-1]) and events[-2:] == ["data: [DONE]", ""]


def test_a_text_is_continued(server, model):
    expected = run(model, "abc", chat=False)
    answer = server.client.completions.create(model="random", prompt=["abc"])
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == (expected.text, "length")
    assert answer.usage.prompt_tokens == len(expected.prompt_ids)
    *pieces, last = server.client.completions.create(model="random", prompt="abc", stream=True)
    assert "".join(chunk.choices[0].text for chunk in pieces) == expected.text
    assert last.choices[0].finish_reason == "length" and last.rtlm["wall_s"] > 0


@pytest.mark.parametrize("sampling", [{"temperature": 1.2, "seed": 5}, {"temperature": 0.9, "top_p": 0.8, "seed": 6}])
def test_tokens_are_drawn_as_in_a_run(server, model, sampling):
    assert server.chat("hello", **sampling).choices[0].message.content == run(model, "hello", **sampling).text


def test_options_hold_where_a_request_says_nothing(start, model):
    options = {"temperature": 1.2, "seed": 5, "top_k": 9, "max_tokens": 5, "system": "Be brief."}
    expected = run(model, "hello", **options)
    server = start(**options)
    answer = server.chat("hello")
    assert answer.choices[0].message.content == expected.text
    assert answer.usage.prompt_tokens == len(expected.prompt_ids)
    assert server.chat("hello", temperature=0).choices[0].message.content != expected.text


@pytest.mark.parametrize("role", ["system", "developer"])
def test_a_system_message_and_contents_in_parts(server, model, role):
    messages = [
        {"role": role, "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}]},
    ]
    answer = server.client.chat.completions.create(model="random", messages=messages)
    assert answer.choices[0].message.content == run(model, "hello", system="Be brief.").text


def test_an_answer_ends_before_a_text(server):
    whole = server.chat("hello", max_tokens=16).choices[0].message.content
    stop = whole[5:7]
    expected = whole[: whole.index(stop)]
    answer = server.chat("hello", max_tokens=16, stop=["no such text", stop])
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (expected, "stop")
    assert answer.usage.completion_tokens < 16
    *pieces, last = server.chat("hello", max_tokens=16, stop=stop, stream=True)
    assert "".join(chunk.choices[0].delta.content for chunk in pieces) == expected
    assert last.choices[0].finish_reason == "stop"
    # What is held back, for it may become the text, comes at the end.
    late = server.chat("hello", max_tokens=16, stop=f"{whole[-1]}no such text")
    assert late.choices[0].message.content == whole


def test_what_the_conversation_shares_with_the_one_before_is_not_fed_again(server, model):
    first = server.chat("hello")
    said = first.choices[0].message.content
    second = server.chat("hello", said, "and now?")
    assert second.usage.prompt_tokens_details.cached_tokens >= first.usage.prompt_tokens
    messages = [("user", "hello"), ("assistant", said), ("user", "and now?")]
    fresh = anew(model, [{"role": role, "content": content} for role, content in messages])
    assert second.choices[0].message.content == fresh
    other = server.chat("hallo")
    assert 0 < other.usage.prompt_tokens_details.cached_tokens < first.usage.prompt_tokens
    assert other.choices[0].message.content == run(model, "hallo").text


def test_columns_and_guesses_change_no_text(start, model):
    server = start(overrides=("matmul.columns=4",), speculate=True)
    answers = [server.chat(text, max_tokens=20) for text in ("hello", "hello you")]
    for text, answer in zip(("hello", "hello you"), answers, strict=True):
        assert answer.choices[0].message.content == run(model, text, max_tokens=20).text


def test_an_answer_ends_where_the_context_does(start):
    server = start(context=48)
    answer = server.chat("hello", max_tokens=1000)
    assert answer.usage.total_tokens == 48
    assert answer.choices[0].finish_reason == "length"


@pytest.mark.slow
def test_gates_answer_as_the_golden_model(start, server, monkeypatch):
    """With the chip's figures; an answer that is cancelled within a step leaves nothing in the next one."""
    gates = start(backend="verilator")
    answer, expected = gates.chat("hello", max_tokens=3), server.chat("hello", max_tokens=3)
    assert answer.choices[0].message.content == expected.choices[0].message.content
    figures = answer.rtlm
    assert figures["cycles"] > 3 * figures["cycles_per_token"] > 0
    assert figures["tokens_per_s"] == pytest.approx(figures["clock_mhz"] * 1e6 / figures["cycles_per_token"])
    assert figures["simulator_tokens_per_s"] > 0

    slices = 0
    original = accelerator.AcceleratorModel.advance

    def advance(simulated, cycles, on_slice):
        def cancel():
            nonlocal slices
            slices += 1
            if slices == 30:
                assert not simulated.irq
                gates.service._current.cancel()
            on_slice()

        return original(simulated, cycles, cancel)

    monkeypatch.setattr(accelerator, "_CHUNK", 300)
    monkeypatch.setattr(accelerator.AcceleratorModel, "advance", advance)
    response = gates.send(
        "POST", "/v1/chat/completions", '{"messages": [{"role": "user", "content": "goodbye"}], "max_tokens": 3}'
    )
    assert response.status == 503 and slices == 30
    again = gates.chat("goodbye", max_tokens=3)
    assert again.choices[0].message.content == server.chat("goodbye", max_tokens=3).choices[0].message.content
