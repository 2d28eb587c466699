"""Number and block formats: one definition of each bit layout, used by hardware, packer and golden model."""

from rtlm.hw.formats.blocks import BLOCK, BlockFormat, Blocks
from rtlm.hw.formats.matmul import ACC_BITS, ACC_FRACTION, accumulate
from rtlm.hw.formats.tiles import TileShape, pack_tiles, unpack_tiles

__all__ = [
    "ACC_BITS",
    "ACC_FRACTION",
    "BLOCK",
    "BlockFormat",
    "Blocks",
    "TileShape",
    "accumulate",
    "pack_tiles",
    "unpack_tiles",
]
