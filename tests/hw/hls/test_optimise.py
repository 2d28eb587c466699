"""What a simplified graph consists of; that it stays the same numbers is in test_random_kernels.py."""

import pytest
from rtlm.hw import hls
from rtlm.hw.hls import BF16, BOOL, F32, SInt, UInt
from rtlm.hw.hls.optimise import optimised


def operations(body, *types, result):
    """Operations that are left of a kernel's body, arguments and constants aside."""

    def two(a: types[0], b: types[-1]) -> result:
        return body(a, b)

    def one(a: types[0]) -> result:
        return body(a)

    graph = optimised(hls.kernel(two if len(types) > 1 else one).graph)
    return [v.op for v in graph.order if v.op not in ("arg", "const")]


@pytest.mark.parametrize(
    ("body", "left"),
    [
        (lambda x: hls.exp2(x) * hls.exp2(x), ["exp2", "mul"]),
        (lambda x: x * 2.0 * 1.0 + 0.0, ["ldexp", "eq", "select"]),
        (lambda x: x * -1.0, ["neg"]),
        (lambda x: x * -0.25, ["ldexp", "neg"]),
        (lambda x: x * 3.0, ["mul"]),
        (lambda x: x * 0.0, ["mul"]),  # NaN of an infinity, and the sign
        (lambda x: x - 0.0, []),
        (lambda x: (-x) * -1.0, []),
        (lambda x: abs(-abs(x)), ["abs"]),
        (lambda x: hls.select(x > x, x, x), []),
        (lambda x: x + (hls.exp2(hls.constant(3.0, F32)) - 8), ["eq", "select"]),
        (lambda x: hls.convert(hls.convert(x, BF16), F32), ["convert", "convert"]),
        (lambda x: x * 5 + 5 * x, ["mul", "add"]),
    ],
)
def test_floats(body, left):
    assert operations(body, F32, result=F32) == left


def test_a_wider_format_and_back():
    assert operations(lambda x: hls.convert(hls.convert(x, F32), BF16), BF16, result=BF16) == []


@pytest.mark.parametrize(
    ("body", "result", "left"),
    [
        (lambda i: (i + 0) * 1, SInt(10), ["wrap"]),
        (lambda i: i * 4, SInt(11), ["shl", "wrap"]),
        (lambda i: i - i, SInt(9), []),
        (lambda i: (i ^ i) + i, SInt(9), ["wrap"]),
        (lambda i: (i << 2) << 1, SInt(11), ["shl"]),
        (lambda i: hls.clamp(i, -200, 200), SInt(9), ["wrap"]),
        (lambda i: i < 500, BOOL, []),
        (lambda i: hls.wrap(hls.wrap(i, SInt(30)), SInt(5)), SInt(5), ["wrap"]),
        (lambda i: hls.bits(hls.bits(i, 1, 7), 2, 5), UInt(3), ["bits"]),
        (lambda i: hls.wrap(hls.bits(i, 0, 3) & 15, UInt(4)), UInt(4), ["bits", "wrap"]),
    ],
)
def test_integers(body, result, left):
    assert operations(body, SInt(8), result=result) == left


def test_ranges_narrow_what_follows():
    def mean(a: UInt(8), b: UInt(8)) -> UInt(8):
        return hls.wrap((a + b + 1) >> 1, UInt(8))

    graph = optimised(hls.kernel(mean).graph)
    assert [(v.op, v.type.width) for v in graph.order if v.args] == [("iadd", 9), ("iadd", 9), ("shr", 8)]


def test_a_reduction_that_nobody_needs_still_paces():
    def nothing(x: UInt(4)) -> UInt(12):
        return hls.wrap(hls.stream_sum(x, UInt(8)) * 0, UInt(12))

    kernel = hls.kernel(nothing)
    assert optimised(kernel.graph) is kernel.graph
