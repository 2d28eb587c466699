"""The manifest beside a memory image: which model and accelerator it is for, where it lies, how it is recognised."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from rtlm.gen.configuration.fields import shown, shown_key
from rtlm.host.errors import ImageError, ImageMismatchError

IMAGE, PROGRAM, MANIFEST = "image.bin", "program.bin", "manifest.json"
"""Files of the folder."""

FORMAT = "rtlm memory image"
FORMAT_VERSION = 1
MAX_MANIFEST_BYTES = 1 << 24
"""A model of 80 layers has a manifest of some 200 KB."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ModelPart(_Part):
    """The model that the image was made from."""

    file: str = Field(description="name of the GGUF file")
    bytes: int = Field(description="its length")
    sha256: str = Field(description="its hash")
    layers: int = Field(description="transformer layers")
    vocabulary: int = Field(description="tokens; the logits of each column are as many float32")
    context: int = Field(description="positions that the RoPE table has, the most that a step may be given")


class ConfigurationPart(_Part):
    """The accelerator that the image is for."""

    name: str = Field(description="name of the configuration")
    hash: str = Field(description="what `CONFIG_HASH_HIGH` and `CONFIG_HASH_LOW` read, 16 hexadecimal digits")
    verilog_sha256: str | None = Field(
        description="hash of the netlist behind the generated Verilog; null unless that was there or `--rtl` made it"
    )
    values: dict[str, Any] = Field(description="the configuration itself, as in a YAML file")


class MemoryPart(_Part):
    """How the image lies in memory."""

    ports: int = Field(description="memory ports over which beats are striped (see Ports)")
    port_bytes: int = Field(description="bytes of a port's beat")
    stripe_bytes: int = Field(description="bytes of a stripe; base addresses and lengths are multiples of it")
    word_bytes: int = Field(description="bytes of a word")
    image_bytes: int = Field(description=f"bytes of `{IMAGE}`, from byte address 0 on")
    zero_bytes: int = Field(description="bytes behind it that must be zero before the first step: KV cache and results")
    total_bytes: int = Field(description="bytes of memory in all, to the end of the last stripe")


class RegisterPart(_Part):
    """What a driver writes to the registers of the same names (docs/registers.md)."""

    PROGRAM_BASE: int = Field(description="first beat of the program")
    PROGRAM_WORDS: int = Field(description="words of the program")
    PROGRAM_CRC: int = Field(description=f"CRC-32 of `{PROGRAM}`")
    LIMIT: int = Field(description="beats in all")
    KV_BASE: tuple[int, ...] = Field(description="first beat of each KV slot, of which there is one for each column")


class RegionPart(_Part):
    """A region of memory, in the order of addresses."""

    name: str = Field(description="name, as in the table below Regions")
    purpose: str = Field(description="what its bytes are counted as")
    first_beat: int = Field(description="first beat")
    beats: int = Field(description="beats")
    crc32: str | None = Field(description="CRC-32 (zlib) of its bytes in linear order; null for what starts as zeros")


class FilePart(_Part):
    """A file beside the manifest."""

    bytes: int = Field(description="length")
    sha256: str = Field(description="hash")


class ImageManifest(_Part):
    """Everything that is known of an image folder."""

    format: str = Field(default=FORMAT, description=f"`{FORMAT}`")
    version: int = Field(default=FORMAT_VERSION, description=f"of this format: {FORMAT_VERSION}")
    rtlm: str = Field(description="version of rtlm that wrote it")
    packer: str = Field(default="", description="key of the source that packed it")
    model: ModelPart
    configuration: ConfigurationPart
    memory: MemoryPart
    registers: RegisterPart
    regions: tuple[RegionPart, ...]
    files: dict[str, FilePart]

    def dumps(self) -> str:
        """Return the text of the file; `checksum` covers everything else in it."""
        values = self.model_dump(mode="json")
        return json.dumps(values | {"checksum": _checksum(values)}, indent=2) + "\n"

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the manifest of a folder.

        Raises
        ------
        ImageError
            If there is none, or it is not one of an image.
        ImageMismatchError
            If it was changed.
        """
        path = folder / MANIFEST
        try:
            with path.open("rb") as file:
                raw = file.read(min(os.fstat(file.fileno()).st_size, MAX_MANIFEST_BYTES) + 1)
        except OSError as error:
            raise ImageError(f"{path} cannot be read: {error.strerror}") from None
        if len(raw) > MAX_MANIFEST_BYTES:
            raise ImageError(f"{path} must have at most {MAX_MANIFEST_BYTES} bytes, got more")
        try:
            values = json.loads(raw)
        except (ValueError, RecursionError):
            raise ImageError(f"{path} must be JSON in UTF-8, as rtlm image writes it") from None
        found = values.get("format") if isinstance(values, dict) else values
        if found != FORMAT:
            raise ImageError(f"{path} must have the format {FORMAT!r}, got {shown(found)}")
        if (version := values.get("version")) != FORMAT_VERSION:
            raise ImageError(f"{path} must have version {FORMAT_VERSION}, got {shown(version)}")
        stated = values.pop("checksum", None)
        if stated != (actual := _checksum(values)):
            raise ImageMismatchError(f"{path} was changed: its checksum is {shown(stated)}, its values give {actual}")
        try:
            return cls.model_validate_json(json.dumps(values))
        except ValidationError as error:
            entry = error.errors()[0]
            key = shown_key([str(part) for part in entry["loc"]])
            raise ImageError(f"{path}: {key} is not as rtlm image writes it: {entry['msg']}") from None


def is_image_folder(folder: Path) -> bool:
    """Say whether a folder is an image's, whole or damaged, and holds nothing else."""
    try:
        values = json.loads((folder / MANIFEST).read_bytes())
        ours = isinstance(values, dict) and values.get("format") == FORMAT
        return ours and {path.name for path in folder.iterdir()} <= {IMAGE, PROGRAM, MANIFEST}
    except (OSError, ValueError, RecursionError):
        return False


def described() -> Iterator[tuple[str, str]]:
    """Yield the keys of a manifest and what each means."""
    for key, field in ImageManifest.model_fields.items():
        kind = next(_parts(field.annotation), None)
        if kind is None:
            yield key, str(field.description)
            continue
        inner = {"regions": f"{key}[].", "files": f"{key}.NAME."}.get(key, f"{key}.")
        yield from ((inner + name, str(part.description)) for name, part in kind.model_fields.items())
    yield "checksum", "SHA-256 of everything else, as JSON without spaces and with sorted keys"


def _parts(annotation: Any) -> Iterator[type[_Part]]:
    """Yield the parts of which a field is made."""
    if isinstance(annotation, type) and issubclass(annotation, _Part):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _parts(inner)


def _checksum(values: dict[str, Any]) -> str:
    """Return the hash of a manifest's values."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
