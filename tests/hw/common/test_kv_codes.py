"""Codes of the KV cache: what 4 bits stand for, in NumPy and in gates."""

import numpy as np
import pytest
from amaranth.hdl import Module, Signal, signed
from amaranth.sim import Simulator
from rtlm.hw.common.kv_cache import KvGeometry
from rtlm.hw.common.kv_codes import KV_VALUES, encode, encoded, kv_codes, pack_codes, short_codes
from rtlm.hw.common.layouts import CODE_BITS
from rtlm.hw.kernels.quantise import LARGEST

CODES = np.arange(-LARGEST, LARGEST + 1)


def test_each_code_becomes_the_nearest_value():
    distance = np.abs(CODES[:, None] - np.array(KV_VALUES))
    np.testing.assert_array_equal(np.abs(kv_codes(CODES, 4) - CODES), distance.min(axis=1))
    assert kv_codes(np.array([0]), 4) > 0


def test_what_memory_holds_stays_as_it_is():
    np.testing.assert_array_equal(encode(np.array(KV_VALUES)), np.arange(16))
    np.testing.assert_array_equal(kv_codes(CODES, 8), CODES)
    np.testing.assert_array_equal(short_codes(CODES, 8), CODES)


def test_the_first_code_lies_lowest():
    np.testing.assert_array_equal(pack_codes(np.array([[4, -127, 20, 4]]), 4), [[0xF0, 0x02]])
    np.testing.assert_array_equal(pack_codes(np.array([[4, -127]]), 8), [[4, 0x81]])


def test_gates_encode_as_the_model_does():
    m = Module()
    code, short = Signal(signed(CODE_BITS)), Signal(4)
    m.d.comb += short.eq(encoded(code))

    async def check(context):
        for value, expected in zip(CODES, encode(CODES), strict=True):
            context.set(code, int(value))
            assert context.get(short) == expected, value

    simulator = Simulator(m)
    simulator.add_testbench(check)
    simulator.run()


def test_half_the_bytes():
    kv = KvGeometry(head_dim=32, context_limit=250, word_bytes=64, kv_bits=4)
    assert (kv.row_bytes, kv.position_bytes, kv.head_words) == (16, 36, 16 + 2 * 63)
    assert kv.words_of(9) == (1, 3)


def test_other_widths_are_refused():
    with pytest.raises(ValueError, match=r"^kv_bits must be 4 or 8, got 6$"):
        KvGeometry(head_dim=32, context_limit=250, word_bytes=64, kv_bits=6)
