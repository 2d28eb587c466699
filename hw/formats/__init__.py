"""Number and block formats: one definition of each bit layout, used by hardware, packer and golden model."""

from rtlm.hw.formats.blocks import (
    DEFAULT_FORMATS,
    MAX_GROUP_SHIFT,
    BlockFormat,
    Blocks,
    code_bits,
    find_group_shift,
)
from rtlm.hw.formats.description import BLOCK, SUPER_SHIFT, Factors
from rtlm.hw.formats.tiles import TileShape, pack_tiles, unpack_tiles

__all__ = [
    "BLOCK",
    "DEFAULT_FORMATS",
    "MAX_GROUP_SHIFT",
    "SUPER_SHIFT",
    "BlockFormat",
    "Blocks",
    "Factors",
    "TileShape",
    "code_bits",
    "find_group_shift",
    "pack_tiles",
    "unpack_tiles",
]
