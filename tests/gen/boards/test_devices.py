"""What devices have: of every FPGA board, in the words of synthesis."""

from rtlm.gen.boards.devices import DEVICES
from rtlm.gen.configuration.schema import BOARDS
from rtlm.gen.synthesis.targets import RESOURCES, TARGETS


def test_every_fpga_board_has_its_device():
    assert set(DEVICES) == set(BOARDS) - {"none", "asic"}
    for device in DEVICES.values():
        assert set(device.available) <= set(RESOURCES)
        assert device.target in TARGETS


def test_a_slice_has_as_many_carry_chains_and_registers_as_its_tables_say():
    """UG574: a CARRY8 and 16 registers stand beside eight tables of UltraScale+."""
    for device in DEVICES.values():
        if device.target == "xilinx-us+":
            lut = device.available["lut"]
            assert device.available["ff"] == 2 * lut
            assert device.available.get("carry", lut // 8) == lut // 8
