"""Every unit that can be generated alone: its parameters, where their defaults come from, how it is built.

::

    unit = UNITS["gemv"]
    params = unit.defaults(load_config("kv260"))                  # GemvParams(lanes=128, ...)
    component = unit.build(params, clock_mhz=300, technology="xilinx-us+")
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, get_type_hints

import yaml
from amaranth.lib import wiring
from rtlm.gen.common.errors import ConfigError, GenerateError
from rtlm.gen.configuration.fields import closest, shown
from rtlm.gen.configuration.schema import Configuration
from rtlm.hw import kernels
from rtlm.hw.accelerator import REGISTER_ADDRESS_BITS
from rtlm.hw.attention.unit import AttentionParams, AttentionUnit
from rtlm.hw.control.sequencer import Sequencer
from rtlm.hw.control.sequencer_params import SequencerParams
from rtlm.hw.formats import BLOCK
from rtlm.hw.hls import Directives, Kernel
from rtlm.hw.hls.technology import ClockError
from rtlm.hw.matmul.qmatmul import Gemv, GemvParams, QMatmul
from rtlm.hw.matmul.unit import MatmulParams
from rtlm.hw.memory import ReaderParams, StreamReader, WordWriter, WriterParams
from rtlm.hw.registers import RegisterFile
from rtlm.hw.registers.accelerator import register_map
from rtlm.hw.unit_params import UnitParams, unit_params
from rtlm.hw.vector.params import VectorParams
from rtlm.hw.vector.unit import VectorEngine

__all__ = ["UNITS", "KernelParams", "RegistersParams", "Unit", "with_settings"]


@dataclass(frozen=True, kw_only=True)
class KernelParams:
    """Size of a kernel's pipeline.

    Parameters
    ----------
    lanes
        Elements in a cycle, from 1.
    max_length
        Longest packet in beats, for a kernel that uses elements again after a reduction; None for others.
    ii
        Cycles between beats, for which operators share units; None is as few as can be, with nothing shared.
    chain
        Share of a cycle up to which operators follow each other within it; None is three quarters.
    bind
        What memories and products are made of, as ``name=style``.
    partition
        How their words lie, as ``name=kind``.
    """

    lanes: int = 1
    max_length: int | None = None
    ii: int | None = None
    chain: float | None = None
    bind: tuple[str, ...] = ()
    partition: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Validate."""
        if self.lanes < 1:
            raise ValueError(f"lanes must be at least 1, got {self.lanes}")
        if self.max_length is not None and self.max_length < 1:
            raise ValueError(f"max_length must be at least 1, got {self.max_length}")
        if self.ii is not None and self.ii < 1:
            raise ValueError(f"ii must be at least 1, got {self.ii}")
        if any("=" not in each for each in self.bind):
            raise ValueError(f"bind is written name=style, such as x=ultra, got {', '.join(self.bind)}")
        if any("=" not in each for each in self.partition):
            raise ValueError(f"partition is written name=kind, such as x=cyclic, got {', '.join(self.partition)}")

    def directives(self, *, clock_mhz: float, technology: str) -> Directives:
        """Return what the pipeline is built for."""
        return Directives(
            lanes=self.lanes,
            clock_mhz=clock_mhz,
            technology=technology,
            ii=self.ii,
            chain=self.chain,
            bind=dict(each.split("=", 1) for each in self.bind),
            partition=dict(each.split("=", 1) for each in self.partition),
        )


@dataclass(frozen=True, kw_only=True)
class RegistersParams:
    """Size of the register file.

    Parameters
    ----------
    columns
        Activation columns, 1 to 8.
    """

    columns: int = 1

    def __post_init__(self) -> None:
        """Validate."""
        if not 1 <= self.columns <= 8:
            raise ValueError(f"columns must be from 1 to 8, got {self.columns}")


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A unit that can be generated alone.

    Parameters
    ----------
    name
        Name on the command line.
    summary
        What it does, a sentence.
    params
        Class of its parameters, a frozen dataclass that validates itself.
    make
        Builds it from parameters, clock and technology.
    from_config
        Returns the parameters that it has in the accelerator of a configuration.
    kernel
        The kernel that it is made of, if it is one.
    """

    name: str
    summary: str
    params: type[Any]
    make: Callable[[Any, float, str], wiring.Component]
    from_config: Callable[[Configuration, UnitParams], Any]
    kernel: Kernel | None = None

    @property
    def module(self) -> str:
        """Name of the Verilog module."""
        return self.name.replace("-", "_")

    def build(self, params: Any, *, clock_mhz: float, technology: str) -> wiring.Component:
        """Build the component.

        Parameters
        ----------
        params
            An instance of the class `params`.
        clock_mhz, technology
            What its pipelines are scheduled for.

        Raises
        ------
        GenerateError
            If the clock is too fast for an operator; some units find that only when they are emitted.
        """
        try:
            return self.make(params, clock_mhz, technology)
        except ClockError as error:
            raise GenerateError(str(error)) from error

    def defaults(self, config: Configuration) -> Any:
        """Return the parameters that the unit has in a configuration's accelerator.

        Raises
        ------
        ConfigError
            If the unit cannot have the sizes that follow.
        """
        try:
            return self.from_config(config, unit_params(config.to_params()))
        except ValueError as error:
            raise ConfigError(config.name, [f"{self.name}: {error}."]) from None


def _gemv_params(config: Configuration, sizes: UnitParams) -> GemvParams:
    matmul = sizes.matmul
    return GemvParams(
        lanes=matmul.lanes,
        vector_lanes=matmul.vector_lanes,
        max_k_blocks=matmul.max_k_blocks,
        rows_per_multiplier=matmul.rows_per_multiplier,
        field_bits=matmul.field_bits,
    )


PACKET_ELEMENTS: dict[str, Callable[[Configuration], int]] = {
    "rmsnorm": lambda config: config.limits.dim,
    "softmax": lambda config: config.attention.context_limit,
    "quantise": lambda config: BLOCK,
    "quantise_head": lambda config: config.attention.head_dim,
    "argmax": lambda config: config.limits.vocabulary,
}
"""Elements of the longest packet, for kernels that use elements again after a reduction, and for `argmax`."""


def _kernel_unit(kernel: Kernel) -> Unit:
    def from_config(config: Configuration, sizes: UnitParams) -> KernelParams:
        lanes = config.vector.lanes
        elements = PACKET_ELEMENTS.get(kernel.name)
        return KernelParams(lanes=lanes, max_length=-(-elements(config) // lanes) if elements else None)

    def make(params: KernelParams, clock_mhz: float, technology: str) -> wiring.Component:
        directives = params.directives(clock_mhz=clock_mhz, technology=technology)
        return kernel.component(directives, max_length=params.max_length)

    summary = re.sub(r":func:|`", "", (kernel.__doc__ or "").strip().partition("\n")[0])
    return Unit(
        name=kernel.name.replace("_", "-"),
        summary=f"Kernel: {summary}",
        params=KernelParams,
        make=make,
        from_config=from_config,
        kernel=kernel,
    )


_UNITS = (
    Unit(
        name="gemv",
        summary="Quantised matrix times one int8 vector: the matrix array with activation banks.",
        params=GemvParams,
        make=lambda params, clock, technology: Gemv(params, clock_mhz=clock, technology=technology),
        from_config=_gemv_params,
    ),
    Unit(
        name="qmatmul",
        summary="Quantised matrix times 1 to 8 int8 vectors (columns) that share every weight read.",
        params=MatmulParams,
        make=lambda params, clock, technology: QMatmul(replace(params, clock_mhz=clock, technology=technology)),
        from_config=lambda config, sizes: sizes.matmul,
    ),
    Unit(
        name="attention",
        summary="Grouped-query attention over a quantised KV cache, with an online score buffer.",
        params=AttentionParams,
        make=lambda params, clock, technology: AttentionUnit(replace(params, clock_mhz=clock, technology=technology)),
        from_config=lambda config, sizes: sizes.attention,
    ),
    Unit(
        name="vector",
        summary="Vector engine: residual, RMSNorm, RoPE, SwiGLU, quantisation, arg-max, KV-cache and embedding rows.",
        params=VectorParams,
        make=lambda params, clock, technology: VectorEngine(replace(params, clock_mhz=clock, technology=technology)),
        from_config=lambda config, sizes: sizes.vector,
    ),
    Unit(
        name="axi-reader",
        summary="AXI4 read masters with a prefetch buffer: segments in, words in order out.",
        params=ReaderParams,
        make=lambda params, clock, technology: StreamReader(params),
        from_config=lambda config, sizes: sizes.reader,
    ),
    Unit(
        name="axi-writer",
        summary="AXI4 write masters: words with strobes in, bursts out.",
        params=WriterParams,
        make=lambda params, clock, technology: WordWriter(params),
        from_config=lambda config, sizes: sizes.writer,
    ),
    Unit(
        name="registers",
        summary="AXI4-Lite register file: control, status, columns, counters.",
        params=RegistersParams,
        make=lambda params, clock, technology: RegisterFile(
            register_map(params.columns), address_bits=REGISTER_ADDRESS_BITS
        ),
        from_config=lambda config, sizes: RegistersParams(columns=config.matmul.columns),
    ),
    Unit(
        name="sequencer",
        summary="Program fetch and dispatch: instructions in, read segments and unit commands out.",
        params=SequencerParams,
        make=lambda params, clock, technology: Sequencer(params),
        from_config=lambda config, sizes: sizes.sequencer,
    ),
)

UNITS: dict[str, Unit] = {
    unit.name: unit for unit in (*_UNITS, *(_kernel_unit(getattr(kernels, name)) for name in kernels.__all__))
}
"""Units by name."""


def with_settings(name: str, params: Any, settings: Sequence[str]) -> Any:
    """Change parameters of a unit.

    Parameters
    ----------
    name
        The unit, for messages.
    params
        Its parameters, a frozen dataclass.
    settings
        Changes such as ``lanes=64``.

    Raises
    ------
    ConfigError
        With every setting that is not allowed.
    """
    kinds, names = get_type_hints(type(params)), [field.name for field in fields(params)]
    problems, changes = [], {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            problems.append(f"A setting must be key=value, such as {names[0]}=64, got {shown(setting)}.")
        elif key not in names:
            guess = closest(key, names)
            hint = f"; did you mean {guess}?" if guess else "."
            problems.append(f"{key} is not a parameter of {name}, which has {', '.join(names)}{hint}")
        else:
            try:
                changes[key] = _converted(yaml.safe_load(text), kinds[key])
            except (yaml.YAMLError, ValueError, TypeError):
                kind = getattr(kinds[key], "__name__", str(kinds[key]))
                problems.append(f"{key} must be of type {kind}, got {shown(text)}.")
    if problems:
        raise ConfigError(name, problems)
    try:
        return replace(params, **changes)
    except ValueError as error:
        raise ConfigError(name, [f"{error}."]) from None


def _converted(value: Any, kind: Any) -> Any:
    """Return a value as the type that a parameter has."""
    if kind == int | None and value is None:
        return None
    plain = int if kind == int | None else kind
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if plain is float and number:
        return float(value)
    if not isinstance(value, plain) or (plain is int and not number):
        raise TypeError(value)
    return value
