"""The way to memory: AXI4 signatures, reader, writer, striping over ports, and block memory behind an AXI4 port."""

from rtlm.hw.memory.axi import AXI4, AXI4Lite, AXI4Read, AXI4Write, BusFault, forward
from rtlm.hw.memory.bursts import ReaderParams
from rtlm.hw.memory.reader import StreamReader
from rtlm.hw.memory.striping import Striping
from rtlm.hw.memory.writer import WordWriter, WriterParams

__all__ = [
    "AXI4",
    "AXI4Lite",
    "AXI4Read",
    "AXI4Write",
    "BusFault",
    "ReaderParams",
    "StreamReader",
    "Striping",
    "WordWriter",
    "WriterParams",
    "forward",
]
