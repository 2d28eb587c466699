"""The sentences in which sizes are refused."""

import pytest
from rtlm.hw.common.checks import check_multiple, check_power_of_two, check_range


@pytest.mark.parametrize(
    ("check", "arguments", "sentence"),
    [
        (check_range, (0, 1, 8), "x must be from 1 to 8, got 0"),
        (check_range, (9, 1, 8), "x must be from 1 to 8, got 9"),
        (check_range, (0, 1), "x must be at least 1, got 0"),
        (check_power_of_two, (24, 8, 256), "x must be a power of two from 8 to 256, got 24"),
        (check_power_of_two, (4, 8, 256), "x must be a power of two from 8 to 256, got 4"),
        (check_power_of_two, (512, 8, 256), "x must be a power of two from 8 to 256, got 512"),
        (check_power_of_two, (32, 64), "x must be a power of two, at least 64, got 32"),
        (check_power_of_two, (0,), "x must be a power of two, got 0"),
        (check_power_of_two, (-4,), "x must be a power of two, got -4"),
        (check_multiple, (100, 32), "x must be a positive multiple of 32, got 100"),
        (check_multiple, (0, 32), "x must be a positive multiple of 32, got 0"),
    ],
)
def test_what_is_refused(check, arguments, sentence):
    with pytest.raises(ValueError) as caught:
        check("x", *arguments)
    assert str(caught.value) == sentence


def test_the_ends_are_allowed():
    for value in (1, 8):
        check_range("x", value, 1, 8)
        check_power_of_two("x", value, 1, 8)
    check_range("x", 1 << 40, 1)
    check_power_of_two("x", 1 << 40)
    check_multiple("x", 32, 32)
