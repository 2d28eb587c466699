"""What a kernel may not say: the sentence, its file and line, and what to write instead."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path

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
    "floor_divide": "x >> n for an integer by 2 ** n, a / b for floats",
    "remainder": "wrap(x, type) or bits(x, 0, n) for an integer modulo 2 ** n",
    "matmul": "stream_sum(a * b, type) for a dot product over a packet",
    "reduce": "stream_sum, stream_max or stream_argmax over a packet",
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


def kernel_error(function: Callable, text: str, cause: BaseException | None = None) -> KernelError:
    """Return a sentence with file and line before it.

    Parameters
    ----------
    function
        The kernel's function.
    text
        What is wrong.
    cause
        Exception that was raised in the function, or below: the line is the last in files beside the kernel's, if there
        is one, else the last of the function.
    """
    code = function.__code__
    folder = Path(code.co_filename).parent
    file, line = code.co_filename, max(line for _, _, line in code.co_lines() if line)
    for frame in traceback.extract_tb(cause.__traceback__ if cause else None):
        path = Path(frame.filename)
        own = path.is_relative_to(folder) and not path.is_relative_to(Path(__file__).parent)
        if own and "site-packages" not in path.parts:
            file, line = frame.filename, frame.lineno or line
    path = Path(file)
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return KernelError(f"{shown}:{line}: {text if text.endswith('.') else f'{text}.'}")
