"""What becomes gates, as Amaranth components to use in any design; docs/python-api.md has an example.

::

    from rtlm.hw import Gemv, GemvParams
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rtlm.hw.accelerator import Accelerator as Accelerator
    from rtlm.hw.memory import ReaderParams as ReaderParams
    from rtlm.hw.memory import StreamReader as StreamReader
    from rtlm.hw.memory import WordWriter as WordWriter
    from rtlm.hw.memory import WriterParams as WriterParams
    from rtlm.hw.params import AcceleratorParams as AcceleratorParams
    from rtlm.hw.units.attention import AttentionUnit as AttentionUnit
    from rtlm.hw.units.attention_params import AttentionParams as AttentionParams
    from rtlm.hw.units.matmul_params import MatmulParams as MatmulParams
    from rtlm.hw.units.qmatmul import Gemv as Gemv
    from rtlm.hw.units.qmatmul import GemvParams as GemvParams
    from rtlm.hw.units.qmatmul import QMatmul as QMatmul
    from rtlm.hw.units.vector import VectorEngine as VectorEngine
    from rtlm.hw.units.vector_params import VectorParams as VectorParams

_PLACES = {
    "Accelerator": "accelerator",
    "AcceleratorParams": "params",
    "AttentionParams": "units.attention_params",
    "AttentionUnit": "units.attention",
    "Gemv": "units.qmatmul",
    "GemvParams": "units.qmatmul",
    "MatmulParams": "units.matmul_params",
    "QMatmul": "units.qmatmul",
    "ReaderParams": "memory",
    "StreamReader": "memory",
    "VectorEngine": "units.vector",
    "VectorParams": "units.vector_params",
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
