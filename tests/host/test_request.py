"""Which configuration a request takes: the one that is named, or the default preset with what the model needs."""

import pytest
from rtlm.gen.configuration.load import load_config
from rtlm.host.errors import ModelError
from rtlm.host.request import make_request
from rtlm.host.session_options import RunOptions

from tests.host.small_models import SIZES
from tests.notes import Notes


@pytest.fixture
def request_of():
    """Make a request, and return it with what was said."""

    def make(model, **options):
        progress = Notes()
        return make_request(RunOptions(texts=("abc",), max_tokens=3, model=model, **options), progress), progress.notes

    return make


@pytest.fixture(scope="module")
def qwen3(random_model):
    return random_model(**SIZES | {"architecture": "qwen3"})


def test_the_default_preset_gets_what_the_model_needs(request_of, qwen3):
    request, notes = request_of(qwen3)
    changes = ["attention.head_dim=32", "vector.head_norms=true"]
    assert request.config == load_config("kv260", changes)
    options = " ".join(f"--set {change}" for change in changes)
    assert notes == [f"kv260 holds this model with {options}, which is added."]
    request, notes = request_of(qwen3, overrides=("matmul.columns=2",))
    assert request.config == load_config("kv260", [*changes, "matmul.columns=2"]) and len(notes) == 1


def test_a_preset_that_holds_the_model_stays_as_it_is(request_of, random_model):
    request, notes = request_of(random_model(**SIZES | {"heads": 2}))
    assert request.config == load_config("kv260") and not notes
    assert request.sha256 is None, "of a file that was not fetched"


def test_a_configuration_that_is_named_holds_the_model_or_is_refused(request_of, qwen3):
    sentence = "heads must be 64 wide for configuration kv260, got 32; it holds the model with --set attention.head_dim"
    with pytest.raises(ModelError, match=f"{sentence}=32 --set vector.head_norms=true$"):
        request_of(qwen3, config="kv260")
    request, notes = request_of(qwen3, config="tiny", overrides=("vector.head_norms=true",))
    assert request.config == load_config("tiny", ["vector.head_norms=true"]) and not notes


def test_what_the_user_has_set_stays(request_of, qwen3):
    with pytest.raises(ModelError, match=r"does only with vector\.head_norms = true; it holds the model with --set"):
        request_of(qwen3, overrides=("vector.head_norms=false", "attention.head_dim=32"))
    with pytest.raises(ModelError, match=r"dim must be at most 64 .*--set limits\.dim=128"):
        request_of(qwen3, overrides=("limits.dim=64",))


def test_changes_that_are_not_enough_say_why(request_of, random_model):
    wide = random_model(**SIZES | {"head_dim": 48, "heads": 2})
    with pytest.raises(ModelError, match=r"to change that is not enough: attention\.head_dim must be a power of two"):
        request_of(wide, config="tiny")
