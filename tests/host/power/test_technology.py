"""Files with energies: every figure has its range and source, and what is wrong is named."""

import pytest
from rtlm.host.power.technology import (
    BoardsPower,
    DramTechnology,
    Figure,
    Technology,
    TechnologyError,
    board_power,
    dram_technology,
    fpga_technology,
    parse,
)


def test_the_projects_files_are_read():
    technology = fpga_technology("xilinx-us+")
    assert technology.node_nm == 16 and fpga_technology("generic") == technology
    assert technology.lut_toggle_pj.low < technology.lut_toggle_pj.nominal < technology.lut_toggle_pj.high
    assert len(dram_technology().devices) == 9
    assert board_power("kv260").processor_w and board_power("u280").processor_w is None
    assert board_power("no-such-board") is None


def test_a_multiplier_scales_with_its_width():
    assert fpga_technology("xilinx-us+").dsp.scale((27, 18)) == pytest.approx(1.35)


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (Figure, "{low: 2, nominal: 1, high: 3, source: x}", "low, nominal and high must not fall, got 2.0, 1.0, 3.0"),
        (Figure, "{low: 1, nominal: 1, high: 3}", "source: Field required"),
        (Figure, "{low: -1, nominal: 1, high: 3, source: x}", "low: Input should be greater than or equal to 0"),
        (Figure, "{low: .nan, nominal: 1, high: 3, source: x}", "low: Input should be a finite number"),
        (Figure, "{low: !!python/name:os.system 1}", "cannot be read"),
        (Technology, "{name: x, fuse_pj: 1}", "x.yaml, "),
        (Technology, "[1, 2]", "x.yaml, the file: "),
        (BoardsPower, "boards: {a: {volt: 0, junction_c: {low: 1, nominal: 1, high: 1, source: x}}}", "boards.a.volt"),
        (
            DramTechnology,
            "{range: {low: 1, nominal: 1, high: 1, source: x}, devices: {}, "
            "memories: {m: {device: d, per_channel: 1}}, transfers_pj_per_bit: {}, interface_pj_per_bit: {}}",
            "the device of m must be one of , got d",
        ),
    ],
)
def test_what_is_wrong_is_named(kind, text, message):
    with pytest.raises(TechnologyError) as error:
        parse(kind, "x.yaml", text)
    assert message in str(error.value)
