"""Checks of sizes: each error names what was given and what is allowed."""


def check_range(name: str, value: int, low: int, high: int | None = None) -> None:
    """Refuse a number outside a range.

    Parameters
    ----------
    name
        What the number is, for the message.
    value
        The number.
    low, high
        Smallest and largest allowed value; without `high` there is no largest.

    Raises
    ------
    ValueError
        If it is outside: "columns must be from 1 to 8, got 9".
    """
    if value < low or (high is not None and value > high):
        allowed = f"at least {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"{name} must be {allowed}, got {value}")


def check_power_of_two(name: str, value: int, low: int = 1, high: int | None = None) -> None:
    """Refuse a number that is not a power of two, or outside a range.

    Parameters
    ----------
    name, value, low, high
        As of `check_range`.

    Raises
    ------
    ValueError
        If it is none, or outside: "lanes must be a power of two from 32 to 8192, got 24".
    """
    if value < low or (high is not None and value > high) or value & (value - 1):
        allowed = "" if (low, high) == (1, None) else f", at least {low}" if high is None else f" from {low} to {high}"
        raise ValueError(f"{name} must be a power of two{allowed}, got {value}")


def check_multiple(name: str, value: int, of: int) -> None:
    """Refuse a number that is not a positive multiple of another.

    Raises
    ------
    ValueError
        If it is none: "max_dim must be a positive multiple of 32, got 100".
    """
    if value < 1 or value % of:
        raise ValueError(f"{name} must be a positive multiple of {of}, got {value}")
