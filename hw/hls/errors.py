"""What a kernel may not say: the sentence, its file and line, and what to write instead."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType

INSTEAD = {
    "exp": "exp(x)",
    "exp2": "exp2(x)",
    "power": "x * x for a square, sqrt(x) for a root, exp2(y) for 2 ** y",
    "reciprocal": "recip(x)",
    "sqrt": "sqrt(x)",
    "tanh": "1 - 2 * recip(exp(2 * x) + 1)",
    "absolute": "abs(x)",
    "maximum": "maximum(a, b)",
    "minimum": "minimum(a, b)",
    "rint": "to_int(x, width)",
    "floor": "to_int(x, width), which rounds to nearest",
    "ceil": "to_int(x, width), which rounds to nearest",
    "floor_divide": "x // n for an integer by a number of Python, a / b for floats",
    "remainder": "x % n for an integer modulo a number of Python",
    "matmul": "dot(a, b) for vectors, stream_sum(a * b, type) for a dot product over a packet",
    "reduce": "v.sum() for a vector, stream_sum, stream_max, stream_argmax or fold over a packet",
    "cumsum": "scan(step, initial, x)",
    "roll": "previous(x, n)",
    "convolve": "dot(window(x, n), taps)",
}
"""What a kernel says instead of functions of NumPy, by their names there."""


class KernelError(TypeError):
    """A kernel cannot be built; the message begins with file and line."""


def refused(symbol: str, instead: str) -> Callable:
    """Return a method for an operator that kernels do not have; it raises a TypeError that says what to write."""

    def refuse(self, *others):
        raise TypeError(f"Kernels have no {symbol}; write {instead}, with the functions of rtlm.hw.hls.")

    return refuse


def refuse_numpy(name: str) -> TypeError:
    """Return the error for a function of NumPy that was called with a kernel's value."""
    instead = INSTEAD.get(name, "a formula of what rtlm.hw.hls lists")
    return TypeError(
        f"NumPy's {name} takes numbers, not the values of a kernel; write {instead}, with the functions of rtlm.hw.hls."
    )


def kernel_error(function: Callable, text: str, *, line: int, cause: BaseException | None = None) -> KernelError:
    """Return a sentence with file and line before it.

    Parameters
    ----------
    function
        The kernel's function.
    text
        What is wrong.
    line, cause
        As of `source_place`.
    """
    file = Path(function.__code__.co_filename)
    return KernelError(f"{source_place(file, line, cause)}: {text if text.endswith('.') else f'{text}.'}")


def caller_place() -> str:
    """Return file and line of the innermost caller that is not this package, as ``mine.py:7``."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and Path(frame.f_code.co_filename).is_relative_to(Path(__file__).parent):
        frame = frame.f_back
    return f"{_from_here(Path(frame.f_code.co_filename))}:{frame.f_lineno}" if frame is not None else "?"


def source_place(file: Path, line: int, cause: BaseException | None) -> str:
    """Return file and line of an error, as ``mine.py:7``.

    Parameters
    ----------
    file
        A user's file.
    line
        Its line, if the cause does not tell.
    cause
        Exception that was raised in it: the place is the innermost in this file and those beside and below it.
    """
    folder = file.absolute().parent
    for frame in traceback.extract_tb(cause.__traceback__ if cause else None):
        path = Path(frame.filename)
        own = path.is_relative_to(folder) and not path.is_relative_to(Path(__file__).parent)
        if own and "site-packages" not in path.parts:
            file, line = path, frame.lineno or line
    if isinstance(cause, SyntaxError) and cause.filename:
        file, line = Path(cause.filename), cause.lineno or line
    return f"{_from_here(file)}:{line}"


def _from_here(file: Path) -> Path:
    here = Path.cwd()
    return file.relative_to(here) if file.is_relative_to(here) else file
