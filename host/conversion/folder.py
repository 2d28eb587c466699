"""A model folder as Hugging Face has it: config.json, weights in safetensors, tokenizer.json; all of it untrusted."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes  # noqa: F401  NumPy knows bfloat16 once it is imported
import numpy as np
from numpy.typing import NDArray
from rtlm.host.errors import ModelError
from safetensors import SafetensorError, safe_open

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
DTYPES = ("F32", "F16", "BF16")
"""Types of weights that are read."""

MAX_JSON_BYTES = 1 << 26
"""Of a JSON file. The tokenizer.json of Gemma 3, a large one, has half as much."""


class Folder:
    """The folder's weights, and its JSON files as they are read.

    Parameters
    ----------
    path
        The folder.

    Attributes
    ----------
    shapes : dict
        The shape of each tensor, by its name.

    Raises
    ------
    ModelError
        If the folder has no weights, or they cannot be read.
    """

    def __init__(self, path: Path):
        self.path = path
        self._files: dict[str, Any] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        for name in self._names():
            file = self._open(name)
            for tensor in file.keys():  # noqa: SIM118  not a dict
                if tensor in self._files:
                    raise ModelError(f"{path}: the tensor {tensor!r:.70} appears twice")
                part = file.get_slice(tensor)
                if part.get_dtype() not in DTYPES:
                    raise ModelError(
                        f"{path / name}: the tensor {tensor!r:.70} must have one of the types {', '.join(DTYPES)}, got "
                        f"{part.get_dtype()}"
                    )
                self._files[tensor] = file
                self.shapes[tensor] = tuple(part.get_shape())

    def tensor(self, name: str) -> NDArray[np.float32]:
        """Return a tensor in float32, which is exact."""
        return np.asarray(self._files[name].get_tensor(name)).astype(np.float32)

    def json(self, name: str, *, required: bool = True) -> dict[str, Any]:
        """Return what a JSON file of the folder holds, nothing if it may be missing and is.

        Raises
        ------
        ModelError
            If it is missing, too long, or no JSON object.
        """
        path = self.path / name
        if not required and not path.exists():
            return {}
        try:
            if (size := path.stat().st_size) > MAX_JSON_BYTES:
                raise ModelError(f"{path}: the file must have at most {MAX_JSON_BYTES} bytes, got {size}")
            values = json.loads(path.read_bytes())
        except OSError as error:
            raise ModelError(f"{path}: the file cannot be read: {error.strerror}") from None
        except (ValueError, RecursionError):
            raise ModelError(f"{path}: the file is not valid JSON") from None
        if not isinstance(values, dict):
            raise ModelError(f"{path}: the file must be a JSON object")
        return values

    def _names(self) -> Iterator[str]:
        """Yield the names of the files of weights."""
        if not (self.path / INDEX).exists():
            yield WEIGHTS
            return
        places = self.json(INDEX).get("weight_map")
        if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
            raise ModelError(f"{self.path / INDEX}: weight_map must name a file for each tensor")
        for name in sorted(set(places.values())):
            if Path(name).name != name:
                raise ModelError(f"{self.path / INDEX}: a file must lie in the folder, got {name!r:.70}")
            yield name

    def _open(self, name: str) -> Any:
        path = self.path / name
        if not path.is_file():
            raise ModelError(f"{path} is missing; the weights must be in safetensors")
        try:
            return safe_open(path, framework="numpy")
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{path}: {' '.join(str(error).split()):.200}") from None
