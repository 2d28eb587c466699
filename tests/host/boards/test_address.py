"""What ``--backend`` says of a board."""

import pytest
from click.testing import CliRunner
from rtlm.host.boards.address import DEFAULT_TIMEOUT_S, BoardAddress
from rtlm.host.cli.main import cli
from rtlm.host.errors import AcceleratorError


def test_settings_are_read():
    address = BoardAddress.parse(
        "uio:/dev/uio3,udmabuf=buffer,base=0x40000000,map=1,timeout=2.5,interrupt=poll,image=a/b"
    )
    assert (address.scheme, address.path, address.name) == ("uio", "/dev/uio3", "uio:/dev/uio3")
    assert (address.base, address.number("map"), address.timeout_s) == (0x40000000, 1, 2.5)
    assert (address.polls, address.image, address.settings["udmabuf"]) == (True, "a/b", "buffer")


def test_what_is_not_set_has_a_default():
    address = BoardAddress.parse("xdma:/dev/xdma0")
    assert (address.base, address.timeout_s, address.polls, address.image) == (0, DEFAULT_TIMEOUT_S, False, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jtag:0", "a board must be uio:.* or xdma:.* or uart:.*, got jtag:0"),
        ("uart:/dev/ttyUSB0,base=4", "what follows uart:/dev/ttyUSB0 must be timeout, image, baud, answer, got base=4"),
        ("uart:/dev/ttyUSB0,answer=0", "answer of uart:/dev/ttyUSB0 must be a number of seconds above 0, got 0"),
        ("xdma:", "xdma: must be followed by a device file, as in xdma:/dev/xdmaN.*, got xdma:"),
        ("uio:/dev/uio0,channel=1", "what follows uio:/dev/uio0 must be base, .*, map, got channel=1"),
        ("xdma:/dev/xdma0,base", "what follows xdma:/dev/xdma0 must be base, .*, got base"),
        ("xdma:/dev/xdma0,base=-4", "base of xdma:/dev/xdma0 must be an address such as 0x40000000, got -4"),
        ("xdma:/dev/xdma0,base=two", "base of .* got two"),
        ("xdma:/dev/xdma0,timeout=0", "timeout of .* must be a number of seconds above 0, got 0"),
        ("xdma:/dev/xdma0,timeout=nan", "timeout of .* got nan"),
        ("xdma:/dev/xdma0,interrupt=no", "interrupt of .* must be file or poll, got no"),
        ("uio:/dev/uio0,udmabuf=", "udmabuf of .* must be the name of a u-dma-buf, got nothing"),
    ],
)
def test_impossible_addresses_are_sentences(text, message):
    with pytest.raises(AcceleratorError, match=message):
        BoardAddress.parse(text)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--backend", "jtag:0"], "--backend must be verilator, golden, uio:/dev/uioN"),
        (["--backend", "xdma:/dev/xdma0,base=x"], "--backend: base of xdma:/dev/xdma0 must be an address"),
        (
            ["--backend", "xdma:/dev/xdma0", "--waves", "0:10"],
            "--waves needs --backend verilator: a board has no",
        ),
        (["--backend", "xdma:/dev/xdma0", "--pgo"], "--pgo needs --backend verilator: a board has no simulator."),
        (["--backend", "xdma:/dev/xdma0", "--report", "out"], "--report draws runs of the simulator; --json writes"),
        (["--backend", "golden", "--power", "measured"], "the golden model has no signals."),
    ],
)
def test_the_command_line_refuses_at_once(arguments, part):
    result = CliRunner().invoke(cli, ["run", "--prompt", "abc", *arguments])
    assert result.exit_code == 2
    assert part in " ".join(result.output.split())
