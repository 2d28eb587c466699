"""The serial line: what one side sends the other receives, at somewhat different speeds too."""

from fractions import Fraction

import pytest
from amaranth.sim import Simulator
from rtlm.hw.board import UartReceiver, UartTransmitter

BYTES = [0x00, 0xFF, 0x55, 0xAA, 0x80, 0x01, 0xC5, 0x3A]


def levels(frame, cycles_per_bit, idle):
    """Return the line's level in each cycle for bits, with bits of a length that is no whole number, then idle."""
    ends = [round((n + 1) * cycles_per_bit) for n in range(len(frame))]
    line, done = [], 0
    for bit, end in zip(frame, ends, strict=True):
        line += [bit] * (end - done)
        done = end
    return line + [1] * idle


def frames(content, stop=1):
    return [bit for byte in content for bit in (0, *((byte >> n) & 1 for n in range(8)), stop)]


def receive(unit, line):
    """Play a line; give the bytes and how many framing errors there were."""
    got, errors = [], 0
    simulator = Simulator(unit)
    simulator.add_clock(1e-6)

    async def bench(context):
        nonlocal errors
        for level in line:
            context.set(unit.i, level)
            await context.tick()
            if context.get(unit.o.valid):
                got.append(context.get(unit.o.payload))
            errors += context.get(unit.framing_error)

    simulator.add_testbench(bench)
    simulator.run()
    return got, errors


@pytest.mark.parametrize("error", [-0.02, 0, 0.02])
@pytest.mark.parametrize("divisor", [Fraction(25, 3), 25])
def test_bytes_back_to_back_are_received_at_two_percent_more_or_less(divisor, error):
    """At 3 Mbaud and 1 Mbaud of 25 MHz."""
    unit = UartReceiver(divisor=divisor)
    got, errors = receive(unit, levels(frames(BYTES), float(divisor) * (1 + error), 40))
    assert got == BYTES and not errors


def test_a_speed_that_is_far_off_is_told_as_framing_errors_or_other_bytes():
    got, errors = receive(UartReceiver(divisor=25), levels(frames([0x00] * 4), 25 * 1.15, 60))
    assert errors or got != [0x00] * 4


def test_a_byte_without_its_stop_bit_is_an_error_and_the_next_one_is_received():
    line = levels(frames([0x55], stop=0), 8, 20) + levels(frames([0x41]), 8, 20)
    assert receive(UartReceiver(divisor=8), line) == ([0x41], 1)


def test_a_short_pulse_is_no_start_bit():
    assert receive(UartReceiver(divisor=8), [0, 0, *[1] * 20, *levels(frames([0x41]), 8, 20)]) == ([0x41], 0)


@pytest.mark.parametrize("divisor", [Fraction(25, 3), 7, Fraction(9, 2)])
def test_bits_of_a_fractional_divisor_are_right_in_the_mean(divisor):
    unit, line = UartTransmitter(divisor=divisor), []
    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    # Between two frames lies the cycle in which a byte is taken.
    cycles = round(10 * divisor) * len(BYTES) + 2 * len(BYTES) + 20

    async def sender(context):
        for byte in BYTES:
            context.set(unit.i.valid, 1)
            context.set(unit.i.payload, byte)
            await context.tick().until(unit.i.ready)
        context.set(unit.i.valid, 0)

    async def watcher(context):
        for _ in range(cycles):
            await context.tick()
            line.append(context.get(unit.o))

    simulator.add_testbench(sender)
    simulator.add_testbench(watcher)
    simulator.run()
    got, errors = receive(UartReceiver(divisor=divisor), line + [1] * 20)
    assert got == BYTES and not errors
    busy = len(line) - line.index(0) - line[::-1].index(0)
    # From the first start bit to the last 0, which is the end of the last byte but one bit (0x3A ends with two zeros).
    expected = float(divisor) * (10 * len(BYTES) - 1) + len(BYTES)
    assert abs(busy - expected) <= 2 + float(divisor) / 2


def test_impossible_divisors_are_refused():
    with pytest.raises(ValueError, match="divisor must be at least 4, got 3"):
        UartReceiver(divisor=3)
