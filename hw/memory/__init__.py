"""The way to memory and to the host: AXI4 reader and writer, striping over ports, AXI4-Lite registers."""

from rtlm.hw.memory.axi import AXI4, AXI4Lite, AXI4Read, AXI4Write, BusFault, forward
from rtlm.hw.memory.bursts import ReaderParams, SegmentKind
from rtlm.hw.memory.reader import StreamReader
from rtlm.hw.memory.register_map import Access, Field, Register, RegisterAccess, RegisterMap
from rtlm.hw.memory.registers import RegisterFile
from rtlm.hw.memory.striping import Striping
from rtlm.hw.memory.writer import WordWriter, WriterParams

__all__ = [
    "AXI4",
    "AXI4Lite",
    "AXI4Read",
    "AXI4Write",
    "Access",
    "BusFault",
    "Field",
    "ReaderParams",
    "Register",
    "RegisterAccess",
    "RegisterFile",
    "RegisterMap",
    "SegmentKind",
    "StreamReader",
    "Striping",
    "WordWriter",
    "WriterParams",
    "forward",
]
