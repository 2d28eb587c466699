"""What `rtlm run` was asked to do; plain values, so that the command line stays quick to load."""

from dataclasses import dataclass
from pathlib import Path

SIMULATOR = "verilator"
BACKENDS = (SIMULATOR, "golden")
"""Backends without a board."""
DEFAULT_MAX_TOKENS = 64
DEFAULT_WAVES = "waves"
"""Name of the waveform without its suffix, which says what kind it is: ``.fst`` or ``.vcd``."""
MAX_TEMPERATURE = 100
POWER = ("auto", "measured", "assumed")
DEFAULT_TRACE_STEPS = 1


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options of a run.

    Parameters
    ----------
    texts
        Prompts, or what the user says; several decode together, each in a column of its own.
    chat
        Whether they go through the model's chat template.
    system
        The system message of the chat; None leaves it to the template.
    max_tokens
        Tokens to generate for each at most.
    speculate
        Whether tokens are guessed from the text so far and verified on the columns.
    config
        Preset or path of a configuration file, which has to hold the model as it is; None takes the default preset with
        what the model needs.
    overrides
        Changes to it, such as ``matmul.lanes=256``.
    backend
        ``verilator`` (the generated RTL), ``golden`` (the NumPy model of it) or a board
        (`rtlm.host.boards.address.BoardAddress`).
    model
        Name of a model that is fetched (`rtlm.host.models.sources.NAMED`), or path of a GGUF file; None takes the
        default model.
    licences
        Keys of the licences that the user accepts, for models that are fetched.
    temperature, top_k, top_p, seed
        Sampling; temperature 0 is greedy.
    context
        Positions of the KV cache; None takes what prompt and answer need.
    waves
        First and last clock cycle of the waveform window.
    waves_file
        Where the waveform goes; its suffix, ``.fst`` or ``.vcd``, is its kind.
    trace
        Where the timeline goes, in Perfetto's format; None for none.
    trace_steps
        Steps of the timeline, from the one on that gives the first new token.
    power
        ``auto`` (toggles that an earlier run has counted, else the shipped rates), ``measured`` (they are counted in
        this run, if no earlier one has) or ``assumed`` (the shipped rates).
    pgo
        Whether the simulator is optimised by a profile of one step, which doubles the time to build it.
    read_logits
        Whether logits are read back even where nothing needs them, for `logits_sha256`.
    estimate_contexts
        Whether the report has the estimated speed at other contexts, which takes a second.
    """

    texts: tuple[str, ...]
    chat: bool = False
    system: str | None = None
    max_tokens: int = DEFAULT_MAX_TOKENS
    speculate: bool = False
    config: str | None = None
    overrides: tuple[str, ...] = ()
    backend: str = BACKENDS[0]
    model: str | Path | None = None
    licences: tuple[str, ...] = ()
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
    context: int | None = None
    waves: tuple[int, int] | None = None
    waves_file: Path = Path(f"{DEFAULT_WAVES}.vcd")
    trace: Path | None = None
    trace_steps: int = DEFAULT_TRACE_STEPS
    power: str = POWER[0]
    pgo: bool = False
    read_logits: bool = False
    estimate_contexts: bool = False
