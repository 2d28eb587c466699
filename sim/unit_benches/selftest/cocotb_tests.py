"""Cocotb side of the self-test: buttons, LEDs, and a receiver on the serial line.

What has to come (``selftest.json``) is written by `rtlm.host.verification.selftest_bench`. Nothing here knows how the
self-test works.
"""

import json
import os
import pathlib
import re

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge, Timer, with_timeout
from rtlm.sim.unit_benches.streams import UNIT_MARGIN
from rtlm.sim.verilator.cocotb_runner import CLOCK_PERIOD_NS as CLOCK_NS

CASE = json.loads((pathlib.Path(os.environ["BENCH_FOLDER"]) / "selftest.json").read_text())
BIT_NS = CLOCK_NS * CASE["divisor"]
FIRE_1, FIRE_2, UP = 1 << 1, 1 << 2, 1 << 3
PASSED, FAILED, RUNNING, CONFIGURED = 1 << 0, 1 << 1, 1 << 2, 1 << 7
LINE = re.compile(
    r"(?:PASS token (?P<token>[0-9a-f]{8})|FAIL error (?P<error>[0-9a-f]{8}) row (?P<row>[0-9a-f]{8}) "
    r"read (?P<read>[0-9a-f]{8}) expected (?P<expected>[0-9a-f]{8})) cycles (?P<cycles>[0-9a-f]{8})\r\n"
)
LONGEST_LINE = 82
"""Characters, of ten bits each with start and stop."""
# In each step every beat of the memory is moved at most once, beside what the accelerator does itself.
TIMEOUT_NS = CLOCK_NS * UNIT_MARGIN * CASE["steps"] * CASE["beats"] + LONGEST_LINE * 10 * BIT_NS


async def receive(line):
    """Receive a byte: each bit is looked at in its middle."""
    await FallingEdge(line)
    await Timer(BIT_NS * 3 // 2, "ns")
    value = 0
    for bit in range(8):
        value |= int(line.value) << bit
        await Timer(BIT_NS, "ns")
    assert int(line.value) == 1, "there is no stop bit"
    return value


async def report(dut):
    """Receive a line of text and give its numbers by name, those that it has."""

    async def line():
        text = ""
        while not text.endswith("\n"):
            text += chr(await receive(dut.ftdi_rxd))
        return text

    text = await with_timeout(line(), TIMEOUT_NS, "ns")
    dut._log.info("received %r", text)
    match = LINE.fullmatch(text)
    assert match, f"{text!r} is no line of a self-test"
    return {name: int(value, 16) for name, value in match.groupdict().items() if value is not None}


async def start(dut):
    """Start the clock."""
    dut.btn.value = 0
    cocotb.start_soon(Clock(dut.clk_25mhz, CLOCK_NS, unit="ns").start())


async def again(dut, buttons):
    """Run the test again while buttons are held."""
    dut.btn.value = UP | buttons
    await Timer(20 * CLOCK_NS, "ns")
    dut.btn.value = buttons
    result = await report(dut)
    dut.btn.value = 0
    return result


def passes(dut, result):
    """Check a result that is as it has to be."""
    assert result.get("token") == CASE["token"], result
    assert 0 < result["cycles"] < 1 << 24
    assert int(dut.led.value) == PASSED | CONFIGURED


@cocotb.test
async def passes_by_itself(dut):
    """Without a button: PASS with the token, and the right LED."""
    await start(dut)
    await Timer(100 * CLOCK_NS, "ns")
    assert int(dut.led.value) == RUNNING | CONFIGURED
    assert int(dut.wifi_gpio0.value) == 1
    passes(dut, await report(dut))


@cocotb.test
async def a_wrong_weight_fails(dut):
    """One bit of one weight: FAIL with no error, at a comparison; without the button all is well again."""
    await start(dut)
    await Timer(100 * CLOCK_NS, "ns")
    result = await again(dut, FIRE_1)
    assert int(dut.led.value) == FAILED | CONFIGURED
    assert result["error"] == 0 and result["row"] in CASE["comparisons"], result
    assert result["expected"] == CASE["values"][result["row"]] != result["read"]
    passes(dut, await again(dut, 0))


@cocotb.test
async def a_wrong_program_is_an_error(dut):
    """One bit of the program: FAIL with the accelerator's error code, where errors are looked at."""
    await start(dut)
    await Timer(100 * CLOCK_NS, "ns")
    result = await again(dut, FIRE_2)
    assert int(dut.led.value) == FAILED | CONFIGURED
    assert result["error"] == result["read"] == CASE["program_error"] and result["row"] in CASE["errors"], result
    passes(dut, await again(dut, 0))


@cocotb.test
async def runs_take_the_same_time(dut):
    """From one run to the next the counted cycles are the same: nothing is left over."""
    await start(dut)
    first = await again(dut, 0)
    await RisingEdge(dut.clk_25mhz)
    assert (await again(dut, 0)) == first
