"""Enumerations with a shape are enumerations; without this the type checker takes their members for plain integers."""

from enum import Enum as Enum
from enum import IntEnum as IntEnum
