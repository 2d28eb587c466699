"""Number and block formats: one definition of each bit layout, used by hardware, packer and golden model."""

from rtlm.hw.formats.blocks import BLOCK, MAX_GROUP_SHIFT, BlockFormat, Blocks, find_group_shift
from rtlm.hw.formats.tiles import TileShape, pack_tiles, unpack_tiles

__all__ = [
    "BLOCK",
    "MAX_GROUP_SHIFT",
    "BlockFormat",
    "Blocks",
    "TileShape",
    "find_group_shift",
    "pack_tiles",
    "unpack_tiles",
]
