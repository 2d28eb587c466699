"""Several chips, and layers on a processor: what a step takes there, on paper.

Each of n chips holds a part of every matrix and of the heads. After attention and after the feed-forward network, the
chips exchange their parts of the residual stream in a ring: n - 1 hops, each with the link's latency, of 1/n of the
vector in float32 (ring all-gather; Thakur, Rabenseifner and Gropp, IJHPCA 2005). A chip's own time is that of an
estimate for its part of the model.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

from rtlm.host.compiler.plan import F32_BYTES
from rtlm.host.errors import ModelError
from rtlm.host.estimation.estimate import EstimateRequest, estimate
from rtlm.host.estimation.result import Estimate
from rtlm.host.models.model import matrix_shapes
from rtlm.host.models.paper import PaperModel
from rtlm.host.models.stored import ModelShape
from rtlm.hw.formats import BLOCK

EXCHANGES_PER_LAYER = 2
"""Behind attention and behind the feed-forward network."""


@dataclass(frozen=True, kw_only=True)
class Link:
    """What joins the chips.

    Parameters
    ----------
    bytes_per_s, latency_s
        Of one hop, in one direction.
    """

    bytes_per_s: float = 12.5e9
    latency_s: float = 1e-6


@dataclass(frozen=True, kw_only=True)
class Processor:
    """A processor that computes some of the layers.

    Parameters
    ----------
    layers
        How many.
    bytes_per_s
        At which it reads their weights, which bounds it.
    """

    layers: int
    bytes_per_s: float = 40e9


@dataclass(frozen=True, kw_only=True)
class ScaleOut:
    """A decoding step on several chips and a processor.

    Parameters
    ----------
    chips, link, processor
        What computes.
    chip
        Estimate for one chip's part.
    chip_s, link_s, processor_s
        Time of a step on the chips, on the link, and on the processor; they add up.
    tokens_per_s
        All sequences together.
    bound
        Which of the three is longest, and for the chips what bounds them.
    """

    chips: int
    link: Link
    processor: Processor | None
    chip: Estimate
    chip_s: float
    link_s: float
    processor_s: float
    tokens_per_s: float
    bound: str

    @property
    def step_s(self) -> float:
        """Time of a step."""
        return self.chip_s + self.link_s + self.processor_s

    def to_json(self) -> dict[str, Any]:
        """Return plain values: those of the chip's estimate, with the speed of all chips."""
        values = self.chip.to_json()
        values["performance"] |= {"tokens_per_s": self.tokens_per_s, "latency_p50_s": self.step_s}
        values["performance"] |= dict.fromkeys(("ttft_s", "prefill_tokens_per_s", "latency_p95_s", "cycles_per_token"))
        values["scale_out"] = {
            "chips": self.chips,
            "link": asdict(self.link),
            "processor": asdict(self.processor) if self.processor else None,
            "chip_s": self.chip_s,
            "link_s": self.link_s,
            "processor_s": self.processor_s,
            "bound": self.bound,
        }
        return values


def scale_out(
    request: EstimateRequest, *, chips: int, link: Link | None = None, processor: Processor | None = None
) -> ScaleOut:
    """Estimate a decoding step on several chips.

    Parameters
    ----------
    request
        What one chip alone would do.
    chips
        How many share the heads and rows, from 1 to the number of KV heads.
    link
        What joins them.
    processor
        Computes some of the layers, if there is one.

    Raises
    ------
    ConfigError, ModelError
        If heads or rows cannot be divided so, or the request asks for more than there is.
    """
    link = link or Link()
    model, shape = request.model, request.model.shape
    if processor and not 0 < processor.layers < shape.layers:
        raise ModelError(
            f"the host's layers must be from 1 to {shape.layers - 1}, as {model.name} has {shape.layers}, "
            f"got {processor.layers}"
        )
    layers = shape.layers - (processor.layers if processor else 0)
    part = estimate(replace(request, model=_part(model, chips, layers)))
    hz = part.config.clock_mhz * 1e6
    chip_s = part.decode.cycles / hz
    link_s = 0.0
    if chips > 1:
        size = request.batch * shape.dim * F32_BYTES / chips
        hops = (chips - 1) * (EXCHANGES_PER_LAYER * layers + 1)
        link_s = hops * (link.latency_s + size / link.bytes_per_s)
    processor_s = 0.0
    if processor:
        positions = sum(shape.attended(layer, request.context) for layer in range(layers, shape.layers))
        head_bytes = 2 * shape.head_dim * shape.kv_heads * positions * request.batch
        processor_s = (processor.layers * layer_bytes(shape) + head_bytes) / processor.bytes_per_s
    step_s = chip_s + link_s + processor_s
    slowest = max(part.decode.operators, key=lambda each: each.cycles)
    names = {f"chips ({slowest.bound})": chip_s, "link": link_s, "host": processor_s}
    return ScaleOut(
        chips=chips,
        link=link,
        processor=processor,
        chip=part,
        chip_s=chip_s,
        link_s=link_s,
        processor_s=processor_s,
        tokens_per_s=request.batch / step_s,
        bound=max(names, key=lambda name: names[name]),
    )


def layer_bytes(shape: ModelShape) -> int:
    """Return the bytes of a layer's matrices."""
    sizes = matrix_shapes(
        dim=shape.dim,
        hidden_dim=shape.hidden_dim,
        attention=shape.heads * shape.head_dim,
        keys=shape.kv_heads * shape.head_dim,
    )
    if not shape.gated:
        del sizes["ffn_gate"]
    return sum(shape.storage(name, 0).size(*size) for name, size in sizes.items())


def _part(model: PaperModel, chips: int, layers: int) -> PaperModel:
    """Return what one chip holds: its share of heads, of the feed-forward network and of the vocabulary.

    The residual stream is whole in every chip. Of the matrices that end in it a chip has its share of the inputs.
    """
    shape = model.shape
    for name, value, multiple in (
        ("KV heads", shape.kv_heads, 1),
        ("hidden_dim", shape.hidden_dim, BLOCK),
    ):
        if value % (chips * multiple):
            raise ModelError(
                f"the chips must divide the {name} of {model.name}, {value}"
                + (f", into multiples of {multiple}" if multiple > 1 else "")
                + f", got {chips}"
            )
    if chips == 1 and layers == shape.layers:
        return model
    part = replace(
        shape,
        heads=shape.heads // chips,
        kv_heads=shape.kv_heads // chips,
        hidden_dim=shape.hidden_dim // chips,
        vocab=-(-shape.vocab // chips),
        layer_storage=shape.layer_storage[:layers],
    )
    return replace(model, name=f"1/{chips} of {model.name}" if chips > 1 else model.name, shape=part)
