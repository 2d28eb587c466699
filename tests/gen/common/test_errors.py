"""One family of exceptions: what a user can put right is an `RtlmError`, whose class says how a command ends."""

import ast
import importlib
from pathlib import Path

import pytest
from rtlm.gen.common.errors import (
    ENVIRONMENT_ERROR,
    NEGATIVE,
    USER_ERROR,
    ConfigError,
    GenerateError,
    RtlmError,
    ToolError,
)
from rtlm.gen.synthesis.asic import _FetchError
from rtlm.gen.synthesis.place import PlaceError
from rtlm.gen.synthesis.timing.graph import LoopError
from rtlm.gen.synthesis.yosys import YosysError
from rtlm.host.errors import AcceleratorError, ContextError, ImageError, ImageMismatchError, ModelError
from rtlm.host.exploration.store import StoreError
from rtlm.host.figures.results import FiguresError
from rtlm.host.power.calibration import CalibrationError
from rtlm.host.power.technology import TechnologyError
from rtlm.host.survey.load import SurveyError
from rtlm.sim.accelerator import SimulationError

CODES = {
    ConfigError: USER_ERROR,
    GenerateError: USER_ERROR,
    YosysError: USER_ERROR,
    ModelError: USER_ERROR,
    ContextError: USER_ERROR,
    ImageError: USER_ERROR,
    ImageMismatchError: NEGATIVE,
    FiguresError: USER_ERROR,
    StoreError: USER_ERROR,
    SurveyError: USER_ERROR,
    CalibrationError: USER_ERROR,
    TechnologyError: USER_ERROR,
    AcceleratorError: USER_ERROR,
    SimulationError: USER_ERROR,
    PlaceError: NEGATIVE,
    LoopError: NEGATIVE,
    ToolError: ENVIRONMENT_ERROR,
    _FetchError: ENVIRONMENT_ERROR,
}


def exception_classes(room):
    """Return (class, bases) of every exception that a room defines."""
    folder = Path(importlib.import_module(f"rtlm.{room}").__path__[0])
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                bases = {ast.unparse(base) for base in node.bases}
                if any(base.endswith(("Error", "Exception")) for base in bases):
                    yield node.name, bases


ANSWERED = ("ApiError", "Cancelled")
"""What never leaves a server: the client is told."""
CAUGHT = ("LostError", "UnknownTextError")
"""What never leaves the package that raises it: a packet is sent again, a text stays as it is."""


def test_hardware_raises_exceptions_of_python():
    """It imports nothing of the other rooms, which turn them into theirs."""
    assert dict(exception_classes("hw")) == {
        "ClockError": {"ValueError"},
        "KernelError": {"TypeError"},
        "LoopFound": {"BaseException"},  # never leaves the tracing of a kernel
        "UnloadedError": {"ValueError"},
    }


@pytest.mark.parametrize("room", ["gen", "sim", "host"])
def test_every_exception_is_of_the_family(room):
    names = {"RtlmError", *(kind.__name__ for kind in CODES)}
    found = dict(exception_classes(room))
    for name in ("RtlmError", *ANSWERED, *CAUGHT):
        assert found.pop(name, {"Exception"}) == {"Exception"}
    for name, bases in found.items():
        assert bases <= names, f"{name} derives from {bases}"
        assert name in names, f"{name} has no exit code in this test"
    assert found


@pytest.mark.parametrize(("kind", "code"), CODES.items(), ids=lambda value: getattr(value, "__name__", value))
def test_exit_code_of(kind, code):
    assert issubclass(kind, RtlmError)
    assert kind.exit_code == code
