"""What becomes gates, as Amaranth components to use in any design; docs/python-api.md has an example.

::

    from rtlm.hw import Gemv, GemvParams
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rtlm.hw.accelerator import Accelerator as Accelerator
    from rtlm.hw.attention.params import AttentionParams as AttentionParams
    from rtlm.hw.attention.unit import AttentionUnit as AttentionUnit
    from rtlm.hw.matmul.params import MatmulParams as MatmulParams
    from rtlm.hw.matmul.qmatmul import Gemv as Gemv
    from rtlm.hw.matmul.qmatmul import GemvParams as GemvParams
    from rtlm.hw.matmul.qmatmul import QMatmul as QMatmul
    from rtlm.hw.memory import ReaderParams as ReaderParams
    from rtlm.hw.memory import StreamReader as StreamReader
    from rtlm.hw.memory import WordWriter as WordWriter
    from rtlm.hw.memory import WriterParams as WriterParams
    from rtlm.hw.params import AcceleratorParams as AcceleratorParams
    from rtlm.hw.vector.params import VectorParams as VectorParams
    from rtlm.hw.vector.unit import VectorEngine as VectorEngine

_PLACES = {
    "Accelerator": "accelerator",
    "AcceleratorParams": "params",
    "AttentionParams": "attention.params",
    "AttentionUnit": "attention.unit",
    "Gemv": "matmul.qmatmul",
    "GemvParams": "matmul.qmatmul",
    "MatmulParams": "matmul.params",
    "QMatmul": "matmul.qmatmul",
    "ReaderParams": "memory",
    "StreamReader": "memory",
    "VectorEngine": "vector.unit",
    "VectorParams": "vector.params",
    "WordWriter": "memory",
    "WriterParams": "memory",
}
"""Modules of the names below; each is loaded when it is asked for, because most users of a part need no other."""

__all__ = list(_PLACES)


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
