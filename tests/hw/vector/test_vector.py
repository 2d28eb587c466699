"""The vector engine's parameters; its gates: test_benches.py."""

import pytest
from rtlm.hw.vector.params import VectorParams


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"lanes": 3}, "3 vector lanes are not possible: a power of two from 2 to 16 is"),
        ({"lanes": 32}, "32 vector lanes are not possible"),
        ({"lanes": 2, "columns": 9}, "9 columns are not possible"),
        ({"lanes": 2, "word_bytes": 96}, "a word of 96 bytes is not possible"),
        ({"lanes": 2, "max_dim": 100}, "max_dim = 100 is not possible"),
        ({"lanes": 2, "head_dim": 4}, "head_dim must be a power of two from 8 to 256, got 4"),
        ({"lanes": 2, "head_dim": 16, "heads": 3}, "3 heads of 16 values are no whole number of blocks"),
        ({"lanes": 2, "kv_heads": 0}, "kv_heads = 0 is not possible"),
        ({"lanes": 2, "beats_per_word": 3}, "3 beats in a word are not possible"),
        ({"lanes": 2, "address_bits": 40}, "beat addresses of 40 bits are not possible"),
    ],
)
def test_parameters_are_checked(values, sentence):
    with pytest.raises(ValueError, match=sentence):
        VectorParams(**values)
