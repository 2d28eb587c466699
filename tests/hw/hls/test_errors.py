"""What a kernel may not say is refused with file and line, and with what to write instead."""

import math
import re
from typing import NamedTuple

import numpy as np
import pytest
from rtlm.hw import hls
from rtlm.hw.hls import BF16, F16, F32, KernelError, SInt, UInt, kernel
from rtlm.hw.hls.errors import INSTEAD

HEAD = """
import math
import numpy as np
from rtlm.hw.hls import *
from rtlm.hw import hls

"""
LINE = 1 + HEAD.count("\n") + 2
"""Line of the file in which the body of a kernel stands."""


def build(tmp_path, body, arguments="x: F32, i: UInt(8)", result="F32"):
    """Trace a kernel of a file."""
    path = tmp_path / "mine.py"
    path.write_text(f"{HEAD}@kernel\ndef mine({arguments}) -> {result}:\n    {body}\n")
    names = {}
    exec(compile(path.read_text(), str(path), "exec"), names)
    return names["mine"].graph


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return x ** 2", r"no \*\*; write x \* x"),
        ("return 2 ** x", r"exp2\(y\) for 2 \*\* y"),
        ("return 3 // i", r"no // by a value; write x // n"),
        ("return divmod(2, i)", r"no // by a value; write x // n"),
        ("return 3 % i", r"no % by a value; write x % n"),
        ("return i // i", r"take a positive integer of Python as divisor, not <arg: UInt\(8\)>"),
        ("return i % 0", "take a positive integer of Python as divisor, not 0"),
        ("return x // 2", r"// and % takes an integer, not F32"),
        ("return x @ x", r"no @ of single values; write dot\(a, b\)"),
        ("return np.sqrt(x)", r"NumPy's sqrt takes numbers, .*; write sqrt\(x\), with the functions of rtlm.hw.hls"),
        ("return np.exp(x)", r"NumPy's exp .* write exp\(x\)"),
        ("return np.tanh(x)", r"recip\(exp\(2 \* x\) \+ 1\)"),
        ("return np.maximum(x, 0)", r"write maximum\(a, b\)"),
        ("return np.float64(2) ** x", r"NumPy's power .* sqrt\(x\) for a root"),
        ("return np.sum(x)", "stream_sum, stream_max, stream_argmax or fold over a packet"),
        ("return np.log(x)", "a formula of what rtlm.hw.hls lists"),
        ("return math.exp(x)", "functions of math take numbers, .* write exp, exp2, sqrt"),
        ("return float(x)", "functions of math take numbers"),
        ("return int(x)", "to_int"),
        ("return [1.0, 2.0][i]", "table"),
        ("return round(x)", "to_int"),
        ("return math.floor(x)", "to_int"),
        ("return 1 << i", r"unsigned with at most 6 bits, not UInt\(8\): wrap or clamp it"),
        ("return i << i", r"unsigned with at most 6 bits, not UInt\(8\)"),
        ("return i << bits(i, 0, 6)", "needs 71 bits; arithmetic goes to 63"),
        ("return i << 0.5", "Python integer from 0"),
        ("return previous(x, -1)", "goes back by a number of Python from 0 to 4096, not -1"),
        ("return previous(x, i)", "goes back by a number of Python"),
        ("return previous(1.0)", "previous takes a value of the stream, not 1.0"),
        ("return window(x, 0)", "window has a length of at least 1, not 0"),
        ("return window(x, 2)", r"annotated to return F32 as result, but returns 1 value \(Vec\[F32, 2\]\)"),
        ("return window(x, 2)[2]", "A Vector of 2 has no element 2"),
        ("return window(x, 2) + window(x, 3)", "Vectors of 2 and 3 elements meet"),
        ("return x if window(x, 2) else x", "select takes a condition"),
        ("return x if bool(window(x, 2)) else x", "A Vector has no truth in Python"),
        ("return dot(x, x)", "dot takes two Vectors"),
        ("return index(F32)", r"index counts in an unsigned type such as UInt\(10\), not F32"),
        ("return scan(lambda s, x: s + x, 0, x)", r"typed constant such as constant\(0, SInt\(32\)\)"),
        ("return scan(lambda s, i: s + i, constant(0, UInt(8)), i)", r"makes UInt\(9\) of a state of UInt\(8\)"),
        ("return scan(lambda s, x: (s, x), constant(0.0, F32), x)", "returns 2 values for a state of 1"),
        (
            "return scan(lambda s, x: s + previous(s), constant(0.0, F32), x)",
            "A step is arithmetic",
        ),
        ("return fold(lambda s: s, constant(0.0, F32), key=x, keys=4)", "fold takes an unsigned key"),
        ("return fold(lambda s: s, constant(0.0, F32), key=i, keys=257)", "at most as many keys as it counts"),
        ("return pack(window(i, 9))", "pack makes at most 63 bits, not 72"),
        ("return unpack(i, UInt(9))[0]", r"UInt\(8\) does not hold 0 values of UInt\(9\)"),
        ("return i >> -1", "Python integer from 0"),
        ("return x if x else -x", "condition \\(UInt\\(1\\), for instance a comparison\\)"),
        ("return x > 0 and x < 1", r"annotated to return F32 as result, but computes UInt\(1\)"),
        ("return (lambda y: y if y > 0 else -y)(x) if bool(x > 0) else x", "has no truth in Python"),
        ("return max(x, 0)", "maximum and minimum instead of max and min"),
        ("return sum(x)", "no loops"),
        ("return x[0]", r"bits\(i, start, stop\)"),
        ("return y + x", "NameError: name 'y' is not defined"),
        ("return x.sqrt()", "AttributeError"),
        ("return x * 1e300", r"1e\+300 is out of the range of F32.* to 3.403e\+38"),
        ("return x * 10**400", "out of the range of F32"),
        ("return x + 1e-300", "from 1.175e-38"),
        ("return convert(x, F16) * 1e-5", "out of the range of F16.*from 6.104e-05 to 6.55e"),
        ("return x * 'a'", "neither a kernel value nor"),
        ("pass", "returns nothing: it ends with return"),
        ("return 'a'", "neither a kernel value nor a number"),
        ("return 1e300", "out of the range"),
        ("return stream_argmax(x, i)", r"returns 2 values \(F32, UInt\(8\)\) but is annotated with F32"),
        ("return x, x", r"returns 2 values \(F32, F32\) but is annotated with F32"),
        ("return (x,)", r"returns 1 value \(F32\) but is annotated with F32"),
        ("return i", r"annotated to return F32 as result, but computes UInt\(8\)"),
    ],
)
def test_a_line_and_a_remedy(body, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KernelError, match=words) as caught:
        build(tmp_path, body)
    names = "|".join(hls.__all__)
    assert re.match(rf"mine\.py:{LINE}: ([A-Z{{'(1]|//|({names}) )", str(caught.value)), caught.value
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("arguments", "result", "words"),
    [
        ("", "F32", "has no arguments"),
        ("*x: F32", "F32", "only plain ones"),
        ("x", "F32", "needs a type annotation"),
        ("x: F32", "str", "needs a return annotation"),
        ("last: F32", "F32", "cannot call a value last"),
    ],
)
def test_signatures(arguments, result, words, tmp_path):
    with pytest.raises(KernelError, match=rf"mine\.py:\d+: .*{words}"):
        build(tmp_path, "return 1.0", arguments, result)


def test_one_value_for_two(tmp_path):
    with pytest.raises(KernelError, match=r"returns 1 value \(F32\) but is annotated with F32, F32"):
        build(tmp_path, "return x", result="tuple[F32, F32]")


class Marked(NamedTuple):
    y: F32
    last: F32


def test_results_do_not_take_the_streams_names():
    with pytest.raises(KernelError, match="cannot call a value last"):

        @kernel
        def marked(x: F32) -> Marked:
            return Marked(x, x)


def test_the_line_is_that_of_a_kernel_inside(tmp_path):
    @kernel
    def inner(x: F32) -> F32:
        return x**2

    @kernel
    def outer(x: F32) -> F32:
        return inner(x)

    line = inner.function.__code__.co_firstlineno + 2
    with pytest.raises(KernelError, match=rf"test_errors\.py:{line}: ") as caught:
        _ = outer.graph
    assert str(caught.value).count(".py:") == 1


def test_numbers_of_numpy_meet_values():
    """Both ways round, each operator as with a Python number."""

    @kernel
    def mixed(x: F32, i: UInt(8)) -> tuple[F32, UInt(5), UInt(8)]:
        y = np.float32(2) * (np.float64(1) + x) - np.float64(0.5) / x - x * np.float64(3)
        two = np.float64(2)
        flags = [two < x, two <= x, two > x, two >= x, (two == x) | (two != x)]
        return y, hls.wrap(sum(hls.wrap(f, UInt(5)) << n for n, f in enumerate(flags)), UInt(5)), 3 & i

    @kernel
    def plain(x: F32, i: UInt(8)) -> tuple[F32, UInt(5), UInt(8)]:
        y = 2 * (1 + x) - 0.5 / x - x * 3
        flags = [x > 2, x >= 2, x < 2, x <= 2, (x == 2) | (x != 2)]
        return y, hls.wrap(sum(hls.wrap(f, UInt(5)) << n for n, f in enumerate(flags)), UInt(5)), i & 3

    x = np.array([-1, 0.25, 2, 3, np.inf], dtype=np.float32)
    i = np.arange(5) * 37
    for ours, theirs in zip(mixed.model(x, i), plain.model(x, i), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("type_", [F32, BF16, F16], ids=str)
def test_constants_to_the_edge_of_the_range(type_):
    for value in (type_.largest, -type_.largest, type_.smallest, 0.0, -0.0, math.inf, -math.inf):
        assert hls.constant(value, type_).attrs["value"] == value
    assert math.isnan(hls.constant(math.nan, type_).attrs["value"])
    # What rounds into the range is in it; what rounds out of it is not.
    ulp = 2.0**-type_.mantissa
    assert hls.constant(type_.largest * (1 + ulp / 8), type_).attrs["value"] == type_.largest
    for value in (type_.largest * (1 + ulp), -type_.largest * 2, type_.smallest * 0.9):
        with pytest.raises(TypeError, match="out of the range"):
            hls.constant(value, type_)


@pytest.mark.parametrize("value", [math.inf, math.nan, 1.5, 128, None, "1"])
def test_integer_constants(value):
    with pytest.raises(TypeError, match=r"not a value of SInt|neither a kernel value"):
        hls.constant(value, SInt(8))


def test_remedies_name_functions_that_there_are():
    called = {name for text in INSTEAD.values() for name in re.findall(r"(\w+)\(", text)}
    assert called - {"abs", "sum"} <= set(hls.__all__)
