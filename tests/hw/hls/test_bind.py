"""Binding of products to multipliers or to tables: attributes of the gates, depth, bits, errors."""

import pytest
from rtlm.gen.rtl.verilog import emit
from rtlm.hw.hls import F32, SInt, UInt, kernel

from tests.hw.hls.simulate import check


@kernel
def mixed(a: SInt(8), b: SInt(6), x: F32) -> tuple[SInt(14), F32]:
    return a * b, x * x


def attributes(**directives) -> list[str]:
    """Values of the attributes in the Verilog of a kernel, in the order of its products."""
    lines = emit(mixed.component(**directives), "mixed").verilog.splitlines()
    return [line.split('"')[1] for line in lines if "use_dsp" in line]


@pytest.mark.parametrize(
    ("bind", "found"),
    [
        ({}, []),
        ({"multiply": "dsp"}, ["yes", "yes"]),
        ({"SInt(8) integer multiply": "lut"}, ["no"]),
        ({"multiply": "dsp", "multiply 8x6": "lut"}, ["no", "yes"]),
        ({"multiply 8x6": "dsp", "SInt(8) integer multiply": "lut"}, ["no"]),
    ],
)
def test_the_narrowest_name_counts(bind, found):
    assert sorted(attributes(clock_mhz=50, bind=bind)) == sorted(found)


@pytest.mark.parametrize("style", ["dsp", "lut"])
@pytest.mark.parametrize("ii", [None, 2])
def test_bits_are_the_same(style, ii):
    check(mixed, clock_mhz=300, technology="xilinx-us+", ii=ii, bind={"multiply": style})


@kernel
def wide(a: SInt(25), b: SInt(30), c: UInt(24)) -> tuple[SInt(55), SInt(49), UInt(48)]:
    return a * b, c * a, c * c


@pytest.mark.parametrize("bind", [{}, {"multiply": "dsp"}, {"multiply": "lut"}])
@pytest.mark.parametrize("clock_mhz", [300, 340, 420])
def test_parts_of_products_with_and_without_signs(clock_mhz, bind):
    check(wide, clock_mhz=clock_mhz, technology="xilinx-us+", bind=bind)


def test_tables_are_slower_than_a_multiplier():
    latency = {s: mixed.schedule(clock_mhz=300, bind={"F32 multiply": s}).latency for s in ("dsp", "lut")}
    assert latency["lut"] > latency["dsp"]


@pytest.mark.parametrize(
    ("bind", "error"),
    [
        (
            {"multiply": "wood"},
            "multiply is bound to one of block, distributed, ultra if it is a memory, or of dsp, lut",
        ),
        ({"F32 add": "dsp"}, "Kernel mixed has no product F32 add to bind; its operators are F32 multiply, SInt"),
        ({"multiply": "block"}, "Kernel mixed has no memory multiply to bind; it has none"),
    ],
)
def test_what_cannot_be_bound(bind, error):
    with pytest.raises(ValueError, match=error.replace("(", r"\(")):
        mixed.schedule(bind=bind)
