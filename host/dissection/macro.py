"""The macro view: whole models with and without each optimisation, each as a factor, from estimates."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rtlm.gen.common.progress import Stage, no_stage
from rtlm.gen.configuration.schema import Configuration
from rtlm.gen.configuration.validate import validate
from rtlm.host.errors import ModelError
from rtlm.host.estimation.estimate import EstimateRequest, estimate
from rtlm.host.models.paper import open_model
from rtlm.hw.formats import BLOCK

FAMILY = "llama-2-"
MODELS = tuple(f"{FAMILY}{size}" for size in ("7b", "13b", "70b"))
BATCHES = (1, 8)
CONTEXTS = (128, 512, 2048, 8192)

COLUMNS = 8
"""Columns where there are several: the most that the gates have, and the larger batch."""

SHARED_SCALE = 128
"""Weights that share a scale where scales are shared, as AWQ and GPTQ store them."""

GUESSES, ACCEPTED = 2, 12 / 22
"""Guesses in a step, and those that are right: a variable renamed in code by SmolLM2 (docs/utilisation.md), rounded."""

WEIGHTS, SCALES, OVERLAP, PREFETCH, BATCHING, SPECULATION = (
    *("4-bit weights", "shared scales", "overlap", "prefetch", "columns", "speculation"),
)


@dataclass(frozen=True, kw_only=True)
class Optimisation:
    """Something that can be switched on.

    Parameters
    ----------
    name
        What it is called.
    off, on
        What there is without and with it.
    needs
        Others without which it does not work.
    batches
        Batches for which the host can use it.
    """

    name: str
    off: str
    on: str
    needs: tuple[str, ...] = ()
    batches: tuple[int, ...] = BATCHES


FIXED = {
    "KV format": "keys and values are quantised, with a scale for each position and head, to int8 or to 4 bits "
    "(attention.kv_bits), which is a choice of accuracy",
    "activation format": "int8 with a scale for each block of 32; the gates have no other",
    "fused attention": "scores and probabilities never leave the chip; the gates have no other way",
    "fused operators": "norm, RoPE, SwiGLU and quantisation are part of one path; the gates have no other way",
}
"""What the study's kind of table may have as well, and the gates cannot switch off."""


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What an optimisation brings, as factors of tokens/s against the same configuration without it.

    Parameters
    ----------
    alone
        Where none of the others is, but those that it needs.
    among_all
        Where all others are; None where another one needs it.
    """

    alone: float
    among_all: float | None


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model at one batch and context.

    Parameters
    ----------
    model, batch, context
        What is decoded: sequences, positions of each in the KV cache.
    without, with_all
        Tokens a second with none of the optimisations, and with all.
    bytes_without, bytes_with_all
        Of the model and its KV cache in memory.
    fits_without, fits_with_all
        Whether the memory holds them.
    effects
        What each optimisation brings; those that are not there for this batch are missing.
    """

    model: str
    batch: int
    context: int
    without: float
    with_all: float
    bytes_without: int
    bytes_with_all: int
    fits_without: bool
    fits_with_all: bool
    effects: Mapping[str, Effect]


@dataclass(frozen=True, kw_only=True)
class MacroView:
    """Every case of one configuration.

    Parameters
    ----------
    config
        The accelerator with all optimisations.
    guesses, accepted
        Guesses in a step of speculation, and how many of them are right.
    cases
        Models, batches and contexts.
    optimisations
        What was switched.
    notes
        What the reader has to know.
    """

    config: Configuration
    guesses: int
    accepted: float
    cases: tuple[Case, ...]
    optimisations: tuple[Optimisation, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Key:
    """What an estimate depends on."""

    model: str
    context: int
    together: int
    switched_on: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class _Speed:
    """What an estimate says."""

    steps_per_s: float
    image_bytes: int
    fits: bool


def optimisations(config: Configuration, *, guesses: int) -> tuple[Optimisation, ...]:
    """Return what can be switched on an accelerator, with so many guesses in a step of speculation."""
    memory = config.memory
    least = smallest_prefetch_kib(config)
    return (
        Optimisation(name=WEIGHTS, off="Q8_0, 8.5 bits a weight", on="Q4_0, 4.5 bits"),
        Optimisation(name=SCALES, off="a scale for each 32 weights", on=f"one for {SHARED_SCALE}: 0.375 bits less"),
        Optimisation(
            name=OVERLAP,
            off="one read burst at a time on each port",
            on=f"{memory.outstanding} (memory.outstanding)",
        ),
        Optimisation(
            name=PREFETCH,
            off=f"the smallest buffer, two bursts of all ports: {least} KiB",
            on=f"{memory.prefetch_kib} KiB (memory.prefetch_kib)",
        ),
        Optimisation(name=BATCHING, off="one column: sequences take turns", on=f"{COLUMNS} columns"),
        Optimisation(
            name=SPECULATION,
            off="one token a step",
            on=f"and {guesses} guesses verified with it",
            needs=(BATCHING,),
            batches=(1,),
        ),
    )


def smallest_prefetch_kib(config: Configuration) -> int:
    """Return the smallest prefetch buffer that a configuration can have: a power of two, two bursts of all ports."""
    return 1 << max(0, (-(-2 * config.stripe_bytes // 1024) - 1).bit_length())


def macro_view(
    config: Configuration,
    *,
    guesses: int = GUESSES,
    accepted: float = ACCEPTED,
    models: Sequence[str] = MODELS,
    batches: Sequence[int] = BATCHES,
    contexts: Sequence[int] = CONTEXTS,
    progress: Stage = no_stage,
) -> MacroView:
    """Estimate every case with and without each optimisation.

    Parameters
    ----------
    config
        The accelerator; its columns are set.
    guesses, accepted
        Guesses in a step of speculation, at most one less than the columns, and how many of them are right on average.
    models, batches, contexts
        The cases.
    progress
        Told what is estimated, and how many cases are done of how many.

    Raises
    ------
    ConfigError, ModelError
        If the configuration cannot hold a model, or more guesses are right than there are.
    """
    if accepted > guesses:
        raise ModelError(f"the right guesses in a step must be at most the {guesses} guesses, got {accepted:g}")
    every = optimisations(config, guesses=guesses)
    wanted = [(model, batch, context) for model in models for batch in batches for context in contexts]
    cases, speeds, notes = [], dict[_Key, _Speed](), dict[str, None]()
    for number, (model, batch, context) in enumerate(wanted):
        progress(f"{model}, batch {batch}, context {context}", number, len(wanted))
        variants = _Variants(config, model, speeds, batch=batch, context=context, guesses=guesses, accepted=accepted)
        cases.append(_case(variants, [each for each in every if batch in each.batches]))
        notes |= dict.fromkeys(variants.notes)
    return MacroView(
        config=config,
        guesses=guesses,
        accepted=accepted,
        cases=tuple(cases),
        optimisations=every,
        notes=tuple(notes),
    )


def _case(variants: "_Variants", every: Sequence[Optimisation]) -> Case:
    nothing, names = frozenset[str](), frozenset(each.name for each in every)
    none, everything = variants.speed(nothing), variants.speed(names)
    return Case(
        model=variants.model,
        batch=variants.batch,
        context=variants.context,
        without=variants.tokens_per_s(nothing),
        with_all=variants.tokens_per_s(names),
        bytes_without=none.image_bytes,
        bytes_with_all=everything.image_bytes,
        fits_without=none.fits,
        fits_with_all=everything.fits,
        effects=dict(_effects(variants, every)),
    )


def _effects(variants: "_Variants", every: Sequence[Optimisation]) -> Iterator[tuple[str, Effect]]:
    names = frozenset(each.name for each in every)
    for each in every:
        base = frozenset(each.needs)
        alone = variants.tokens_per_s(base | {each.name}) / variants.tokens_per_s(base)
        needed = any(each.name in other.needs for other in every)
        among_all = None
        if not needed:
            among_all = variants.tokens_per_s(names) / variants.tokens_per_s(names - {each.name})
        yield each.name, Effect(alone=alone, among_all=among_all)


class _Variants:
    """One case with any of the optimisations.

    Parameters
    ----------
    config, model, batch, context, guesses, accepted
        As in `macro_view`.
    speeds
        What has been estimated for this and other cases.
    """

    def __init__(
        self,
        config: Configuration,
        model: str,
        speeds: dict[_Key, _Speed],
        *,
        batch: int,
        context: int,
        guesses: int,
        accepted: float,
    ):
        self.model, self.batch, self.context = model, batch, context
        self.notes: list[str] = []
        self._config, self._speeds = config, speeds
        self._guesses, self._accepted = guesses, accepted

    def speed(self, switched_on: frozenset[str]) -> _Speed:
        """Return the steps a second with the optimisations of these names."""
        key = _Key(
            model=self.model,
            context=self.context,
            together=self._together(switched_on),
            switched_on=switched_on - {SPECULATION},
        )
        if key not in self._speeds:
            self._speeds[key] = self._estimate(key)
        return self._speeds[key]

    def tokens_per_s(self, switched_on: frozenset[str]) -> float:
        """Return the tokens a second, of all sequences."""
        tokens = 1 + self._accepted if SPECULATION in switched_on else self._together(switched_on)
        return tokens * self.speed(switched_on).steps_per_s

    def _together(self, switched_on: frozenset[str]) -> int:
        """Return the columns that compute in a step.

        Guesses are columns of one sequence, each of which reads its history, as columns of several sequences do.
        """
        if SPECULATION in switched_on:
            return 1 + self._guesses
        return self.batch if BATCHING in switched_on else 1

    def _estimate(self, key: _Key) -> _Speed:
        config = _configured(self._config, key.switched_on)
        model = open_model(
            key.model,
            weights="q4_0" if WEIGHTS in key.switched_on else "q8_0",
            group=SHARED_SCALE if SCALES in key.switched_on else BLOCK,
        )
        if key.context >= model.context:
            self.notes.append(
                f"Beyond the {model.context:,} positions that the models were trained for only their speed is meant."
            )
            model = replace(model, context=key.context + 1)
        found = estimate(EstimateRequest(config=config, model=model, context=key.context, batch=key.together, prompt=1))
        return _Speed(
            steps_per_s=config.clock_mhz * 1e6 / found.decode.cycles, image_bytes=found.image_bytes, fits=found.fits
        )


def _configured(config: Configuration, switched_on: frozenset[str]) -> Configuration:
    """Return a configuration with these optimisations and none of the others."""
    values = config.model_dump(mode="json")
    values["matmul"]["columns"] = COLUMNS if BATCHING in switched_on else 1
    if OVERLAP not in switched_on:
        values["memory"]["outstanding"] = 1
    if PREFETCH not in switched_on:
        values["memory"]["prefetch_kib"] = smallest_prefetch_kib(config)
    return validate(values, config.model_dump(mode="json"), config.name)
