"""What stands around an accelerator on a board: a self-test that needs no host, and the parts it is made of."""

from rtlm.hw.board.player import Check, Kind, RegisterPlayer
from rtlm.hw.board.reporter import TextReporter
from rtlm.hw.board.selftest import SelfTest, SelfTestParams
from rtlm.hw.board.uart import UartTransmitter
from rtlm.hw.board.ulx3s import Ulx3s

__all__ = ["Check", "Kind", "RegisterPlayer", "SelfTest", "SelfTestParams", "TextReporter", "UartTransmitter", "Ulx3s"]
