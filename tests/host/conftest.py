from collections.abc import Callable

import pytest
from rtlm.host.models.model import LlamaModel

from tests.host.small_models import SIZES


@pytest.fixture(scope="session")
def small_model(random_model) -> Callable[..., LlamaModel]:
    """Open a model that fits `ARRAYS`, with `SIZES` unless other arguments are given."""

    def open_model(**arguments) -> LlamaModel:
        return LlamaModel.open(random_model(**SIZES | arguments))

    return open_model
