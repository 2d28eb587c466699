"""The C driver that goes beside the Verilog: C99, nothing but the standard headers, platforms behind five functions."""

from importlib import resources

from rtlm.hw.control.errors import Error
from rtlm.hw.memory import Striping
from rtlm.hw.params import AcceleratorParams

FOLDER = "driver"
"""Where the files lie in the folder of an accelerator."""
IMAGE_VERSION = 2
"""Version of the image's header that the driver reads; a test compares with the writer's."""
FILES = ("driver.c", "driver.h", "main.c")


def driver_files(params: AcceleratorParams) -> dict[str, str]:
    """Return the files of the driver by name.

    Parameters
    ----------
    params
        The accelerator's.
    """
    striping = Striping(ports=params.ports, port_bytes=params.port_bytes)
    values = {
        "NAME": params.name,
        "HASH": f"{params.config_hash:016x}",
        "HASH_LOW": f"{params.config_hash & 0xFFFFFFFF:#010x}u",
        "HASH_HIGH": f"{params.config_hash >> 32:#010x}u",
        "WORD_BYTES": f"{params.word_bytes}u",
        "PORTS": f"{params.ports}u",
        "PORT_BYTES": f"{params.port_bytes}u",
        "CHUNK_BYTES": f"{striping.chunk_bytes}u",
        "IMAGE_VERSION": f"{IMAGE_VERSION}u",
        "ERROR_CASES": "\n".join(_error_case(error) for error in Error),
    }
    return {f"{FOLDER}/{name}": _filled(name, values) for name in FILES}


def _error_case(error: Error) -> str:
    return f'    case RTLM_ERROR_{error.name}:\n        return "{error.meaning.rstrip(".")}";'


def _filled(name: str, values: dict[str, str]) -> str:
    text = (resources.files("rtlm.gen.package.driver") / name).read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text
