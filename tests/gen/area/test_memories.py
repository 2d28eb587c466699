"""What memories become, against what yosys made of them (`rtlm synth`)."""

import pytest
from rtlm.gen.area.memories import memory


@pytest.mark.parametrize(
    ("width", "depth", "brams"),
    [
        (128, 1024, 4),  # a port of kv260's prefetch buffer
        (256, 128, 4),  # its activation banks: values
        (29, 128, 0.5),  # and scales
        (256, 1024, 7.5),  # values for vectors of 16384
        (29, 1024, 1),  # and scales
        (18, 1024, 0.5),
        (64, 288, 1),
    ],
)
def test_block_memories(width, depth, brams):
    found = memory(width, depth)
    assert (found.brams, found.ffs, found.urams) == (brams, 0, 0)


def test_shallow_memories_are_tables_with_a_register_behind_them():
    found = memory(128, 32)
    assert (found.brams, found.ffs) == (0, 128)
    assert found.luts == 8 * 10
    assert memory(128, 32, clocked=False).ffs == 0


def test_large_memories_are_ultra_ram():
    assert memory(128, 8192).urams == 4
    assert memory(128, 8192).brams == 0


def test_a_deep_table_has_a_multiplexer():
    assert memory(8, 128, clocked=False).luts > 2 * memory(8, 64, clocked=False).luts
