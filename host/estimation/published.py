"""Published LLM accelerators, estimated with their own memory, clock, model and weight format.

What is estimated is this project's accelerator on such a memory, not the published one: the difference says how far a
design is from what its memory allows, and where the estimate leaves out what its designers could not.
"""

from dataclasses import dataclass, field

from rtlm.gen.configuration.load import load_config
from rtlm.host.estimation.estimate import EstimateRequest, estimate
from rtlm.host.estimation.scale_out import Link, scale_out
from rtlm.host.models.paper import open_model

HBM_460 = (
    "clock_mhz=225",
    "memory.ports=32",
    "memory.port_bits=512",
    "memory.dram=hbm2",
    "memory.prefetch_kib=1024",
    "matmul.lanes=4096",
    "attention.bytes_per_cycle=1024",
)
"""32 pseudo channels of HBM2, 460.8 GB/s, as on U280, VCU128 and U55C."""

HBM_201 = (
    "clock_mhz=197",
    "memory.ports=16",
    "memory.port_bits=512",
    "memory.dram.base=hbm2",
    "memory.dram.change={channels: 16, mega_transfers: '1575'}",
    "memory.prefetch_kib=512",
    "matmul.lanes=2048",
    "attention.bytes_per_cycle=1024",
)
"""201.6 GB/s, as on U50."""

DDR4_34 = (
    "clock_mhz=266.6",
    "memory.ports=8",
    "memory.port_bits=128",
    "memory.dram.base=ddr4-2400",
    "memory.dram.change={channels: 2, mega_transfers: '2133'}",
    "memory.prefetch_kib=128",
    "matmul.lanes=256",
    "attention.bytes_per_cycle=128",
)
"""Two channels of DDR4-2133, 34.1 GB/s."""


@dataclass(frozen=True, kw_only=True)
class Design:
    """A published design.

    Parameters
    ----------
    work, platform
        What it is called, and where it ran.
    config, overrides
        This project's accelerator on the same memory.
    model, weights, group, context
        The model, its weight format, and the context; where none is published, 512.
    chips, link
        Of several chips.
    published
        Tokens/s at batch 1, of the source; None where no figure was read.
    source
        Where that stands.
    why
        What explains the difference.
    """

    work: str
    platform: str
    config: str
    overrides: tuple[str, ...] = ()
    model: str
    weights: str = "q4_0"
    group: int = 32
    context: int = 512
    chips: int = 1
    link: Link = field(default_factory=Link)
    published: float | None
    source: str
    why: str


DESIGNS = (
    Design(
        work="Hummingbird",
        platform="KV260",
        config="kv260",
        model="llama-3-8b",
        group=128,
        published=4.8,
        source="arXiv 2507.03308",
        why="the same idea: weights in groups of 128 at the memory's rate; the paper reaches 94 % of the peak",
    ),
    Design(
        work="Hummingbird",
        platform="ZCU104, two memories",
        config="zcu104",
        overrides=DDR4_34,
        model="llama-3-8b",
        group=128,
        published=8.6,
        source="arXiv 2507.03308",
        why="as above; the paper reaches 93 %",
    ),
    Design(
        work="Hummingbird",
        platform="U250, four cores",
        config="kv260",
        model="llama-3-8b",
        group=128,
        chips=4,
        link=Link(bytes_per_s=19.2e9, latency_s=0.5e-6),
        published=19.4,
        source="arXiv 2507.03308",
        why="four cores with a memory each; an exchange between them is assumed to take 0.5 us a hop",
    ),
    Design(
        work="Li et al., DATE'25",
        platform="KV260",
        config="kv260",
        model="llama-2-7b",
        group=128,
        context=1024,
        published=4.9,
        source="arXiv 2502.10659",
        why="the paper reaches 85 % of the peak, the estimate 95 %",
    ),
    Design(
        work="LlamaF",
        platform="ZCU102",
        config="kv260",
        model="tinyllama-1.1b",
        weights="q8_0",
        published=1.48,
        source="arXiv 2409.11424",
        why="attention and control on the processor, one matrix at a time: 8 % of the peak",
    ),
    Design(
        work="FlightLLM",
        platform="U280",
        config="u280",
        overrides=HBM_460,
        model="llama-2-7b",
        published=55,
        source="arXiv 2401.03868",
        why="3 to 5 bits and sparsity move fewer bytes than Q4_0, but by bytes it reaches 43 % of the peak",
    ),
    Design(
        work="EdgeLLM",
        platform="VCU128",
        config="u280",
        overrides=HBM_460,
        model="chatglm-6b",
        published=90,
        source="arXiv 2407.21325",
        why="FP16 activations at 140 MHz and sparse weights; the paper states 70 to 80 % of the bandwidth",
    ),
    Design(
        work="Chen et al.",
        platform="U280",
        config="u280",
        overrides=HBM_460,
        model="gpt2-345m",
        weights="q8_0",
        published=204,
        source="arXiv 2312.15159",
        why="a spatial design that keeps stages busy at 8 to 23 % of the bandwidth",
    ),
    Design(
        work="StreamTensor",
        platform="U55C",
        config="u280",
        overrides=HBM_460,
        model="gpt2-345m",
        published=230,
        source="arXiv 2509.13694",
        why="a dataflow compiler's result at 8 % of the bandwidth",
    ),
    Design(
        work="DFX",
        platform="U280, one card",
        config="u280",
        overrides=HBM_460,
        model="gpt2-345m",
        weights="q8_0",
        published=93.1,
        source="arXiv 2209.10797",
        why="fp16 has twice the bytes of Q8_0, and the paper's figure includes the prompt",
    ),
    Design(
        work="DFX",
        platform="U280, four cards",
        config="u280",
        overrides=HBM_460,
        model="gpt2-345m",
        weights="q8_0",
        chips=4,
        link=Link(bytes_per_s=12.5e9, latency_s=1e-6),
        published=None,
        source="arXiv 2209.10797",
        why="the ring takes most of a step of so small a model; the paper's own figures are for GPT-2 1.5B",
    ),
    Design(
        work="LoopLynx",
        platform="U50, two nodes",
        config="u280",
        overrides=HBM_201,
        model="gpt2-345m",
        weights="q8_0",
        chips=2,
        link=Link(bytes_per_s=12.5e9, latency_s=1e-6),
        published=None,
        source="arXiv 2504.09561",
        why="the paper hides its transfers behind the next block; here they are added",
    ),
    Design(
        work="LoopLynx",
        platform="U50, one node",
        config="u280",
        overrides=HBM_201,
        model="gpt2-345m",
        weights="q8_0",
        published=260,
        source="arXiv 2504.09561",
        why="59 % of the bandwidth in the paper",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What is estimated for a published design.

    Parameters
    ----------
    design
        Which one.
    tokens_per_s
        Estimated.
    link_share
        Part of a step that the link between chips takes.
    """

    design: Design
    tokens_per_s: float
    link_share: float

    @property
    def difference(self) -> float | None:
        """Of the estimate from what was published, as a part of the latter; None where no figure was read."""
        published = self.design.published
        return None if published is None else self.tokens_per_s / published - 1


def predict(design: Design) -> Prediction:
    """Estimate one design."""
    request = EstimateRequest(
        config=load_config(design.config, design.overrides),
        model=open_model(design.model, weights=design.weights, group=design.group),
        context=design.context,
        prompt=1,
    )
    if design.chips == 1:
        speed = estimate(request).performance.tokens_per_s
        return Prediction(design=design, tokens_per_s=float(speed or 0.0), link_share=0.0)
    divided = scale_out(request, chips=design.chips, link=design.link)
    return Prediction(design=design, tokens_per_s=divided.tokens_per_s, link_share=divided.link_s / divided.step_s)
