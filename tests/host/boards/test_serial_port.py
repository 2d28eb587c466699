"""Serial ports: a pseudo-terminal takes and gives all bytes as they are; what cannot be opened is a sentence."""

import os

import pytest
from rtlm.host.boards.address import BoardAddress
from rtlm.host.boards.serial_port import serial_port
from rtlm.host.boards.uart import open_uart
from rtlm.host.errors import AcceleratorError

from tests.host.small_models import params_of

ALL_BYTES = bytes(range(256))


@pytest.fixture
def terminal():
    """Both ends of a pseudo-terminal: a descriptor, and the name of the other."""
    ours, theirs = os.openpty()
    yield ours, os.ttyname(theirs)
    os.close(theirs)
    os.close(ours)


def test_all_bytes_pass_unchanged(terminal):
    ours, name = terminal
    with serial_port(name, baud=3_000_000) as port:
        port.write(ALL_BYTES, 1)
        assert os.read(ours, 1000) == ALL_BYTES
        os.write(ours, ALL_BYTES)
        assert port.read(1) == ALL_BYTES
        assert port.read(0) == b""


def test_a_port_is_one_programs(terminal):
    _, name = terminal
    with serial_port(name, baud=1_000_000):
        with pytest.raises(AcceleratorError, match=f"{name} is being used by another program"):
            with serial_port(name, baud=1_000_000):
                pytest.fail("opened")
    with serial_port(name, baud=1_000_000):
        pass


def test_a_port_that_goes_away_is_a_sentence():
    ours, theirs = os.openpty()
    with serial_port(os.ttyname(theirs), baud=1_000_000) as port:
        os.close(theirs)
        os.close(ours)
        with pytest.raises(AcceleratorError, match=r"is gone .*: is the cable still there"):
            port.read(1)
        with pytest.raises(AcceleratorError, match=r"is gone .*: is the cable still there"):
            port.write(b"abc", 1)


def test_a_port_that_takes_nothing_is_a_sentence(terminal):
    with serial_port(terminal[1], baud=1_000_000) as port:
        with pytest.raises(AcceleratorError, match=r"has taken no bytes for 0\.01 s"):
            port.write(bytes(1 << 20), 0.01)


def test_what_is_no_serial_port_is_a_sentence(tmp_path):
    with pytest.raises(AcceleratorError, match="cannot be opened: No such file or directory; it is the serial port of"):
        with serial_port(str(tmp_path / "none"), baud=1_000_000):
            pytest.fail("opened")
    (tmp_path / "file").touch()
    with pytest.raises(AcceleratorError, match="file cannot be set to 1000000 baud: Inappropriate ioctl for device"):
        with serial_port(str(tmp_path / "file"), baud=1_000_000):
            pytest.fail("opened")


def test_a_speed_without_a_name_is_a_sentence(terminal):
    address = BoardAddress.parse(f"uart:{terminal[1]},baud=1234567")
    with pytest.raises(AcceleratorError, match="must be a speed that Linux has a name for, got 1234567"):
        with open_uart(address, params_of("tiny"), 0):
            pytest.fail("opened")
