"""F32 as integers in the same order, so that comparing takes no float operator."""

from amaranth.hdl import Cat, Value

SIGN = 31


def to_key(bits: Value) -> Value:
    """Return F32 bits as an unsigned integer in the same order; -0 comes below +0, NaNs lie at the ends."""
    return bits ^ Cat(bits[SIGN].replicate(SIGN), 1)


def from_key(key: Value) -> Value:
    """Undo `to_key`."""
    return key ^ Cat((~key[SIGN]).replicate(SIGN), 1)
