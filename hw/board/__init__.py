"""What stands around an accelerator on a board: a self-test that needs no host, and a serial line to one."""

from rtlm.hw.board.linked import LinkedAccelerator, LinkedParams
from rtlm.hw.board.player import Check, Kind, RegisterPlayer
from rtlm.hw.board.reporter import TextReporter
from rtlm.hw.board.selftest import SelfTest, SelfTestParams
from rtlm.hw.board.uart import UartReceiver, UartTransmitter
from rtlm.hw.board.ulx3s import Ulx3s
from rtlm.hw.board.ulx3s_sdram import Ulx3sSdram

__all__ = [
    "Check",
    "Kind",
    "LinkedAccelerator",
    "LinkedParams",
    "RegisterPlayer",
    "SelfTest",
    "SelfTestParams",
    "TextReporter",
    "UartReceiver",
    "UartTransmitter",
    "Ulx3s",
    "Ulx3sSdram",
]
