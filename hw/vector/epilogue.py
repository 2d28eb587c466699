"""What the vector engine can do with a stream of values."""

from amaranth.hdl import unsigned
from amaranth.lib import enum


class Epilogue(enum.Enum, shape=unsigned(4)):
    """What the vector engine does with the values an instruction gives it."""

    RESIDUAL = 0
    ROPE_Q = 1
    ROPE_K = 2
    VALUE = 3
    SWIGLU = 4
    QUANTISE = 5
    LOGITS = 6
    EMBED = 7
    LOAD_NORM = 8
    LOAD_ROPE = 9
    LOAD_BIAS = 10
    LOAD_HEAD_NORM = 11
    POST_NORM = 12
    ADD = 13
