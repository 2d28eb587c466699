"""The vector engine's parameters; its gates: test_benches.py."""

import pytest
from rtlm.hw.vector.epilogue import Epilogue
from rtlm.hw.vector.params import VectorParams
from rtlm.hw.vector.unit import VectorEngine


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"lanes": 3}, "lanes must be a power of two from 2 to 16, got 3"),
        ({"lanes": 32}, "lanes must be a power of two from 2 to 16, got 32"),
        ({"lanes": 2, "columns": 9}, "columns must be from 1 to 8, got 9"),
        ({"lanes": 2, "word_bytes": 96}, "word_bytes must be a power of two, at least 64, got 96"),
        ({"lanes": 2, "max_dim": 100}, "max_dim must be a positive multiple of 32, got 100"),
        ({"lanes": 2, "head_dim": 4}, "head_dim must be a power of two from 8 to 256, got 4"),
        ({"lanes": 2, "head_dim": 16, "heads": 3}, "3 heads of 16 values are no whole number of blocks"),
        ({"lanes": 2, "kv_heads": 0}, "kv_heads must be at least 1, got 0"),
        ({"lanes": 2, "beats_per_word": 3}, "beats_per_word must be a power of two, got 3"),
        ({"lanes": 2, "address_bits": 40}, "address_bits must be from 1 to 32, got 40"),
        ({"lanes": 2, "interval": 3}, "interval must be a power of two from 1 to 64, got 3"),
    ],
)
def test_parameters_are_checked(values, sentence):
    with pytest.raises(ValueError, match=sentence):
        VectorParams(**values)


def test_a_kernel_takes_what_it_can_use_of_the_interval():
    """Products of two lanes: four in the norm and the rotation, three in the gate, and two turns for the quantiser.

    What has no kernel of several turns takes the two cycles of a register slice of one entry.
    """
    found = {n: VectorEngine.intervals_of(VectorParams(lanes=2, interval=n)) for n in (1, 2, 4, 64)}
    assert set(found[1].values()) == {1}
    assert set(found[2].values()) == {2}
    assert found[4] == found[64]
    assert found[4] == {
        **dict.fromkeys((Epilogue.RESIDUAL, Epilogue.EMBED, Epilogue.ROPE_Q, Epilogue.ROPE_K, Epilogue.SWIGLU), 4),
        **dict.fromkeys((Epilogue.VALUE, Epilogue.QUANTISE, Epilogue.LOGITS), 2),
    }
