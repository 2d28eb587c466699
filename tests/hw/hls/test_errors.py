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
from typing import NamedTuple
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


IN_LOOP = "for k in loop(i):\n        "


@pytest.mark.parametrize(
    ("body", "line", "words"),
    [
        ("for k in loop(0):\n        pass", 0, "loop runs at least once where its bound is a number: not 0 times"),
        ("for k in loop(2.5):\n        pass", 0, "loop takes numbers of Python, or unsigned values .* not 2.5"),
        ("for k in loop():\n        pass", 0, "loop takes how often it runs"),
        ("for k in loop(i - 1):\n        pass", 0, r"counts to an unsigned value, not to SInt\(9\): write clamp"),
        ("for k in loop(i << bits(i, 0, 5)):\n        pass", 0, r"counts to less than 2\*\*32"),
        ("for k in loop(m[i]):\n        pass", 0, "depends on the kernel's arguments and numbers only"),
        (IN_LOOP + "for j in loop(k + 1):\n            pass", 1, "numbers only, not on a memory or another loop"),
        ("for k in range(i):\n        pass", 0, r"no int\(\), index or range\(\); write .* for i in loop\(n\)"),
        ("while i > 0:\n        i = i - 1", 0, "A while over values .* write for i in loop"),
        (IN_LOOP + "if k > 1:\n            i = i + 1", 2, "i is handed on"),
        (IN_LOOP + "if k > 1:\n            j = k", 1, "no truth in Python"),
        ("t = i\n    for k in loop(3):\n        t = t + k", 2, "t is handed on from one iteration to the next"),
        ("t = i\n    for k in loop(3):\n        t += k", 2, "write a sum as stream_sum"),
        ("t = i\n    for k in loop(3):\n        for j in loop(i):\n            t, u = j, t", 3, "t is handed on"),
        ("t = i\n    for k in loop(3):\n        u = (lambda v: v + t)(k)\n        t = k", 2, "t is handed on"),
        (IN_LOOP + "pass\n    for j in loop(2):\n        pass", 2, "stands beside the one at mine.py:"),
        (
            "x = stream_sum(i, UInt(9))\n    for k in loop(2):\n        pass",
            1,
            "stands behind a sum over a packet outside of it",
        ),
        (IN_LOOP + "x = index(UInt(3))\n        for j in loop(2):\n            pass", 2, "stands behind index"),
        (
            IN_LOOP + "for j in loop(2):\n            t = j\n        s = stream_sum(t, UInt(9))",
            3,
            "A sum over a packet stands outside of the innermost loop, at mine.py:.*loop\\(rows, columns\\)",
        ),
        (IN_LOOP + "return x", 1, "is left by break or return: .* return stands behind the loops"),
        (IN_LOOP + "break\n    return x", 2, "is left by break or return"),
        (IN_LOOP + "for j in loop(2):\n            break", 0, r"The loop at mine\.py:\d+ is left by break or return"),
    ],
)
def test_loops(body, line, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KernelError, match=words) as caught:
        build(tmp_path, body, "x: F32, i: UInt(8), m: Ram[UInt(8), 4]")
    assert str(caught.value).startswith(f"mine.py:{LINE + line}: "), caught.value
    assert str(caught.value).endswith(".")


def test_a_loop_outside_of_a_kernel():
    with pytest.raises(TypeError, match=r"loop stands in the body of a kernel: write range\(n\)"):
        next(hls.loop(3))


@pytest.mark.parametrize(("argument", "result"), [("_n", "UInt(4)"), ("n", "NamedTuple('Two', [('active', UInt(4))])")])
def test_names_that_loops_need(argument, result, tmp_path):
    with pytest.raises(KernelError, match=r"mine.py:\d+: Kernel mine has loops and cannot call a value (_n|active)"):
        build(tmp_path, "for k in loop(3):\n        pass\n    return (k,)", f"{argument}: UInt(4)", result)


def test_arguments_of_a_command_are_not_shared(tmp_path):
    with pytest.raises(KernelError, match="Argument n of kernel mine is Shared, but a kernel with loops takes all"):
        build(tmp_path, "for k in loop(n):\n        pass\n    return k", "n: Shared[UInt(4)]", "UInt(4)")


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
