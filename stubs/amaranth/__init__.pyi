"""A partial stub: Amaranth has no types of its own, and what is not here is Any."""

from typing import Any

def __getattr__(name: str) -> Any: ...
