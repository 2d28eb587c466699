"""Bench of the whole accelerator in cocotb: a small random model over cocotbext-axi, against the golden model.

The cocotb side is `rtlm.sim.unit_benches.accelerator.cocotb_tests`; it is given bytes, registers and expected
logits only.
"""

import json
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rtlm.gen.configuration.load import load_config
from rtlm.gen.configuration.schema import Configuration
from rtlm.gen.rtl.verilog import TOP, build_rtl
from rtlm.host.compiler.image import build_image
from rtlm.host.compiler.layout import MemoryMap, striping_of
from rtlm.host.compiler.program import compile_model, program_crc
from rtlm.host.golden.engine import GoldenEngine
from rtlm.host.golden.model import GoldenModel
from rtlm.host.models.model import LlamaModel
from rtlm.host.models.random_model import write_random_model
from rtlm.host.runtime.device import ColumnInput
from rtlm.host.runtime.engine import Engine
from rtlm.hw.control.errors import Error
from rtlm.hw.memory import Striping
from rtlm.hw.params import AcceleratorParams
from rtlm.hw.registers.accelerator import COUNTERS, ID_VALUE, VERSION_VALUE, register_map
from rtlm.sim.unit_benches.bench import Bench, Prepared

UNIT = "accelerator"
MODULE = "rtlm.sim.unit_benches.accelerator.cocotb_tests"
TOKENS = (5, 17, 200)
CONTEXT = 16
VOCABULARY = 272
PLACES = 400
"""Beats among which bus faults are put."""


def accelerator_benches(config: Configuration | None = None) -> list[Bench]:
    """Return the bench of the accelerator of a configuration, by default the preset ``tiny``."""
    config = config or load_config("tiny")
    return [Bench(unit=UNIT, name=config.name, module=MODULE, prepare=partial(prepare, config))]


def write_bench_model(path: Path, params: AcceleratorParams) -> LlamaModel:
    """Write a random model of one layer with a configuration's heads, otherwise as small as possible."""
    dim = params.heads * params.head_dim
    write_random_model(
        path,
        layers=1,
        dim=dim,
        hidden_dim=min(128, params.hidden_dim),
        heads=params.heads,
        kv_heads=params.kv_heads,
        vocab=VOCABULARY,
        context=CONTEXT,
    )
    return LlamaModel.open(path)


def prepare(config: Configuration) -> Prepared:
    """Return the accelerator as Verilog, a model in its memory, and what must come of three tokens."""
    params = config.to_params()
    with tempfile.TemporaryDirectory() as folder:
        model = write_bench_model(Path(folder) / "random.gguf", params)
        memory, program = compile_model(params, model, context=CONTEXT)
        image = build_image(params, model, memory, program)
        golden = GoldenEngine(GoldenModel(model, kv_bits=params.kv_bits), context=CONTEXT)
        logits = [golden.step([column(n)], read_logits=True).logits for n in range(len(TOKENS))]
    device = RecordingDevice(params, image)
    engine = Engine(
        device, params, memory, vocabulary=VOCABULARY, context=CONTEXT, program_crc=program_crc(params, program)
    )
    setup, steps = device.take(), []
    for n in range(len(TOKENS)):
        engine.step([column(n)], read_logits=True)
        steps.append(device.take())
    striping = striping_of(params)
    case = _case(params, memory, striping) | {"setup": setup, "steps": steps}
    content = np.concatenate([each[0] for each in logits if each is not None]).astype("<f4")
    return Prepared(
        verilog=build_rtl(config).verilog.read_text(),
        top=TOP,
        files={
            "case.json": json.dumps(case).encode(),
            "image.bin": striping.scatter(image).tobytes(),
            "logits.bin": content.tobytes(),
        },
    )


def column(number: int) -> ColumnInput:
    """Return what is fed in a step of the bench."""
    return ColumnInput(token=TOKENS[number], position=number, history=number, local_first=0, slot=0)


class RecordingDevice:
    """A device that only writes down which registers the driver sets.

    Parameters
    ----------
    params
        Accelerator for which it passes itself off.
    image
        Its memory's content, one row for each word.
    """

    def __init__(self, params: AcceleratorParams, image: NDArray[np.uint8]):
        self._image = image
        registers = register_map(params.columns)
        self._identity = {
            registers.address("ID"): ID_VALUE,
            registers.address("VERSION"): VERSION_VALUE,
            registers.address("CONFIG_HASH_LOW"): params.config_hash & 0xFFFFFFFF,
            registers.address("CONFIG_HASH_HIGH"): params.config_hash >> 32,
        }
        self._written: list[tuple[int, int]] = []

    def take(self) -> list[tuple[int, int]]:
        """Return what has been written since the last call."""
        written, self._written = self._written, []
        return written

    def write_register(self, address: int, value: int) -> None:
        """Write it down."""
        self._written.append((address, value))

    def read_register(self, address: int) -> int:
        """Return the identity, and zero for everything else."""
        return self._identity.get(address, 0)

    def write_words(self, word: int, content: NDArray[np.uint8]) -> None:
        """Do nothing."""

    def read_words(self, word: int, count: int) -> NDArray[np.uint8]:
        """Return the image, and zeros behind it."""
        words = np.zeros((count, self._image.shape[1]), np.uint8)
        found = self._image[word : word + count]
        words[: len(found)] = found
        return words.reshape(-1)

    def run(self) -> None:
        """Be done at once."""


def _case(params: AcceleratorParams, memory: MemoryMap, striping: Striping) -> dict[str, Any]:
    """Return what the cocotb side has to know about registers and memory."""
    registers = register_map(params.columns)
    rng = np.random.default_rng(0)

    def pieces(word: int, words: int) -> list[tuple[int, int]]:
        beats = range(word * params.beats_per_word, (word + words) * params.beats_per_word)
        ports = range(params.ports)
        return [(striping.byte_address(beat, port), params.port_bytes) for beat in beats for port in ports]

    used = [r for r in memory.regions.values() if r.name in ("program", "output", "kv0", "logits") or "layer" in r.name]
    chosen = [used[int(rng.integers(len(used)))] for _ in range(PLACES)]
    places = [pieces(region.start + int(rng.integers(region.words)), 1) for region in chosen]
    bus = (Error.READ_RESPONSE, Error.WRITE_RESPONSE)
    return {
        "ports": params.ports,
        "memory_bytes": memory.bytes,
        "result_pieces": pieces(memory.regions["logits"].start, memory.regions["logits"].entry_words),
        "accessed": [place[int(rng.integers(len(place)))] for place in places],
        "counters": {name: registers.address(name) for name in COUNTERS},
        "error_address": registers.address("ERROR"),
        "status_address": registers.address("STATUS"),
        "status_resetting": registers["STATUS"].field("resetting").mask,
        "control_address": registers.address("CONTROL"),
        "control_reset": registers["CONTROL"].encode(reset=1),
        "bus_errors": {error.name: int(error.value) for error in bus},
    }
