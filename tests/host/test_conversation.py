"""A conversation answers as if all of it were fed anew, and feeds only what is new."""

import signal

import pytest
from rtlm.gen.common.progress import SilentProgress
from rtlm.host import backend, conversation
from rtlm.host.conversation import open_conversation
from rtlm.host.errors import AcceleratorError, ModelError
from rtlm.host.models.tokenizer import Tokenizer
from rtlm.host.request import chat_prompt, user_message
from rtlm.host.runtime.generation import generate
from rtlm.host.runtime.simulated_device import SimulatedDevice
from rtlm.host.session_options import RunOptions

SILENT = SilentProgress()
QUESTIONS = ("abc", "de", "f")


@pytest.fixture(scope="module")
def model(random_model):
    return random_model(layers=1, dim=64, hidden_dim=96, heads=2, kv_heads=1, vocab=320, context=256)


@pytest.fixture
def talk(model):
    """Open a conversation with the golden model."""

    def talk(**options):
        values = {"texts": (), "max_tokens": 6, "config": "tiny", "model": model, "backend": "golden"}
        return open_conversation(RunOptions(**values | options), SILENT)

    return talk


@pytest.fixture(autouse=True)
def readable(monkeypatch):
    """Make random answers text that is cut into the tokens that were generated: each token is its own character."""
    monkeypatch.setattr(Tokenizer, "token_bytes", lambda self, token, **how: chr(0xE000 + token).encode())
    original = Tokenizer.encode

    def encode(self, text, **how):
        ids, plain = [], ""
        for character in f"{text}\0":
            if 0xE000 <= ord(character) < 0xE000 + self.vocab or character == "\0":
                ids += original(self, plain, **how)
                ids += [ord(character) - 0xE000] if character != "\0" else []
                plain = ""
            else:
                plain += character
        return ids

    monkeypatch.setattr(Tokenizer, "encode", encode)


def anew(model, talked, turn):
    """Generate a turn's answer with an empty cache."""
    request = talked.request
    with backend.open_backend(request, SILENT) as fresh:
        steps = generate(
            fresh.stepper,
            turn.generated.prompt_ids,
            max_tokens=request.options.max_tokens,
            stop=request.tokenizer.stop,
            sampling=request.sampling,
        )
        return [token for step in steps for token in step.tokens]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 1.2, "seed": 5},
        {"overrides": ("matmul.columns=3",)},
        {"overrides": ("matmul.columns=4",), "speculate": True, "max_tokens": 12},
        {"system": "Be brief."},
    ],
    ids=["greedy", "sampled", "columns", "speculated", "system"],
)
def test_answers_are_those_of_the_whole_conversation_fed_anew(talk, model, options):
    with talk(**options) as talked:
        turns = [talked.say(question, SILENT) for question in QUESTIONS]
        assert len({tuple(turn.generated.token_ids) for turn in turns}) == len(turns)
        for turn in turns:
            assert list(turn.generated.token_ids) == anew(model, talked, turn)


@pytest.mark.parametrize("columns", [1, 3])
def test_only_what_is_new_is_fed(talk, columns):
    with talk(overrides=(f"matmul.columns={columns}",)) as talked:
        first, second = (talked.say(question, SILENT) for question in QUESTIONS[:2])
        before, after = first.generated, second.generated
        # The last token of an answer has not been fed when the answer ends.
        lying = len(before.prompt_ids) + len(before.token_ids) - 1
        assert list(after.prompt_ids[:lying]) == [*before.prompt_ids, *before.token_ids[:-1]]
        assert first.measurement.kept_tokens == 0
        assert second.measurement.kept_tokens == lying
        fed = -(-(len(after.prompt_ids) - lying) // columns)
        assert second.measurement.steps == fed + len(after.token_ids) - 1
        report = talked.report()
        assert len(report.run.steps) == first.measurement.steps + second.measurement.steps
        assert report.to_json()["prompt_tokens"] == len(after.prompt_ids) - lying + len(before.prompt_ids)
        assert [turn["question"] for turn in report.to_json()["turns"]] == list(QUESTIONS[:2])
        assert report.performance.batch == 1


def test_a_template_that_rewrites_what_was_said_is_fed_from_there(talk, model, monkeypatch):
    """Such as one that leaves out earlier answers."""
    original = Tokenizer.chat

    def shortened(self, messages, **how):
        return original(self, [message for message in messages if message["role"] != "assistant"], **how)

    monkeypatch.setattr(Tokenizer, "chat", shortened)
    with talk() as talked:
        first, second = (talked.say(question, SILENT) for question in QUESTIONS[:2])
        assert 0 < second.measurement.kept_tokens < len(first.generated.prompt_ids)
        assert list(second.generated.token_ids) == anew(model, talked, second)


def test_the_same_again_feeds_one_token(talk):
    with talk() as talked:
        first = talked.say("abc", SILENT)
        talked.clear()
        assert talked.tokens == 0
        second = talked.say("abc", SILENT)
        assert second.generated == first.generated
        assert second.measurement.kept_tokens == len(first.generated.prompt_ids) - 1
        assert len(talked.turns) == 2


def test_an_answer_ends_where_the_context_does(talk, model):
    with talk(context=64) as talked:
        first = talked.say("abc", SILENT)
        left = 64 - len(first.generated.prompt_ids)
        assert first.measurement.ending == "max_tokens"
    with talk(context=64, max_tokens=200) as talked:
        cut = talked.say("abc", SILENT)
        assert cut.measurement.ending == "context"
        assert cut.measurement.tokens == left
        assert cut.generated.token_ids[:6] == first.generated.token_ids
        more = "<|im_end|>\n<|im_start|>user\nd<|im_end|>\n<|im_start|>assistant\n"
        tokens = 64 + len(talked.request.tokenizer.encode(more))
        sentence = rf"must fit the context of 64 positions with room for an answer, got {tokens} tokens"
        with pytest.raises(ModelError, match=sentence):
            talked.say("d", SILENT)
        # What did not fit is taken back, and a shorter conversation goes on.
        assert len(talked.turns) == 1
        talked.clear()
        assert talked.say("d", SILENT).measurement.tokens


class Stop:
    """Sends a signal within a step of the golden model."""

    def __init__(self, monkeypatch, at, number=signal.SIGINT, error=None):
        self.left = at
        original = backend.GoldenEngine.step

        def step(engine, columns, **how):
            if self.left == 0:
                self.left = -1
                # Keys and values of a step that is broken off may lie in the cache.
                original(engine, columns, **how)
                if error:
                    raise error
                signal.raise_signal(number)
            self.left -= 1
            return original(engine, columns, **how)

        monkeypatch.setattr(backend.GoldenEngine, "step", step)


AT_ANSWER = 50
"""A step of the second answer."""


@pytest.mark.parametrize(
    ("at", "number"), [(0, signal.SIGINT), (3, signal.SIGTERM), (AT_ANSWER, signal.SIGINT), (AT_ANSWER, signal.SIGTERM)]
)
def test_an_interrupted_conversation_goes_on(talk, model, monkeypatch, at, number):
    """Broken off within the first prompt, or within the second answer."""
    with talk(max_tokens=8) as talked:
        Stop(monkeypatch, at, number)
        turns = [talked.say("abc", SILENT)]
        if at == AT_ANSWER:
            assert turns[0].measurement.ending == "max_tokens"
            turns.append(talked.say("de", SILENT))
        broken = turns[-1]
        assert broken.measurement.ending == "interrupted"
        assert broken.interrupted_by == number
        assert bool(broken.generated.token_ids) == (at == AT_ANSWER)
        after = talked.say("fgh", SILENT)
        assert after.measurement.ending == "max_tokens"
        assert list(after.generated.token_ids) == anew(model, talked, after)
        if at < AT_ANSWER:
            # Without a token of its answer, what was said is taken back.
            alone = chat_prompt(talked.request.tokenizer, [user_message("fgh")], None)
            assert after.generated.prompt_ids == alone
        else:
            assert after.measurement.kept_tokens == broken.measurement.prompt_tokens + broken.measurement.tokens - 1
        report = talked.report()
        assert report.run.interrupted
        assert len(report.run.steps) == sum(turn.measurement.steps for turn in talked.turns)


def test_what_a_broken_step_has_overwritten_is_fed_again(talk, monkeypatch):
    with talk() as talked:
        first = talked.say("abc", SILENT)
        talked.clear()
        Stop(monkeypatch, 0)
        assert not talked.say("xyz", SILENT).measurement.tokens
        again = talked.say("abc", SILENT)
        assert again.generated == first.generated


def test_an_error_takes_back_what_was_said(talk, model, monkeypatch):
    with talk() as talked:
        talked.say("abc", SILENT)
        Stop(monkeypatch, 2, error=AcceleratorError("the accelerator stopped with an error"))
        with pytest.raises(AcceleratorError):
            talked.say("de", SILENT)
        after = talked.say("fgh", SILENT)
        assert list(after.generated.token_ids) == anew(model, talked, after)
        assert len(talked.turns) == 2


def test_a_model_that_cannot_chat_is_refused_before_anything_is_built(talk, monkeypatch):
    monkeypatch.setattr(conversation, "open_backend", lambda *_, **__: pytest.fail("built"))
    monkeypatch.setattr(Tokenizer, "chat", lambda self, messages: messages[-1]["content"])
    with pytest.raises(ModelError, match="must use the system message"), talk(system="Be brief."):
        pass


@pytest.mark.slow
def test_gates_answer_as_the_golden_model_and_go_on_after_an_interruption(talk, model, monkeypatch):
    """A step that is broken off within the gates leaves nothing in the next answer and in the figures."""
    gates = {"backend": "verilator", "overrides": ("memory.dram=ddr4-2400",), "max_tokens": 3}
    with talk(**gates) as talked:
        whole = [talked.say(question, SILENT) for question in QUESTIONS[:2]]
        report = talked.report()
    with talk(max_tokens=3) as golden:
        for turn, question in zip(whole, QUESTIONS[:2], strict=True):
            assert turn.generated == golden.say(question, SILENT).generated
    assert report.performance.tokens_per_s > 0
    assert sum(turn["cycles"] for turn in report.to_json()["turns"]) == report.simulator.cycles
    steps = 0

    def run_device(device):
        nonlocal steps
        steps += 1
        if steps == whole[0].measurement.steps + 2:
            device.model.advance(300)
            assert not device.model.irq
            signal.raise_signal(signal.SIGINT)
        device.model.run()

    monkeypatch.setattr(SimulatedDevice, "run", run_device)
    with talk(**gates) as talked:
        assert talked.say(QUESTIONS[0], SILENT).generated == whole[0].generated
        broken = talked.say(QUESTIONS[1], SILENT)
        assert (broken.measurement.steps, broken.measurement.tokens) == (1, 0)
        again = talked.say(QUESTIONS[1], SILENT)
        assert again.generated == whole[1].generated
        assert again.measurement.kept_tokens == whole[1].measurement.kept_tokens + 1
        resumed = talked.report()
    assert resumed.run.memory.read_bytes == report.run.memory.read_bytes
    assert resumed.run.memory.written_bytes == report.run.memory.written_bytes
    for step, other in zip(resumed.run.steps, report.run.steps, strict=True):
        assert sum(step.causes.values()) == step.cycles
        # Refreshes come at other times.
        assert step.cycles == pytest.approx(other.cycles, rel=0.25)
        assert step.work == other.work
