"""What is proved: queues, converters, pipeline stages, bursts, and how far the sequencer and the ports run ahead.

Inputs that the claims need nothing of are free; sources keep the rule of streams (an offer stands until it is taken).
"""

from functools import partial

from amaranth.lib import fifo
from rtlm.sim.proofs.burst_proofs import LimitProof, PortProof, SplitterProof
from rtlm.sim.proofs.memory_width_proofs import ReaderProof, WriterProof
from rtlm.sim.proofs.prover import Property
from rtlm.sim.proofs.stream_proofs import (
    HandoverProof,
    PipelineProof,
    PrefetchProof,
    QueueProof,
    RouterProof,
    SliceProof,
)

WIDTHS = {"width-1": (1, 1), "width-2": (1, 2), "width-4": (1, 4), "ports-2": (2, 1)}
"""Ports, and beats of a word, for which the converters of widths are proved."""

CONVERTERS = (
    ("read", "Reader, {}: each word as asked for, whole, in order, held.", ReaderProof, (11, 12, 15, 11)),
    ("write", "Writer, {}: parts with strobes, once, in order, in place, held.", WriterProof, (8, 9, 10, 7)),
)
"""Name, claim, proof, and for each of `WIDTHS` the cycles of the bounded proof: what a solver does in seconds; each
further one takes about twice as long."""

PROPERTIES = (
    Property(
        name="fifo",
        claim="amaranth's SyncFIFO at depth 4 (reader, writer): first in, first out, nothing lost, level right.",
        make=lambda: QueueProof(fifo.SyncFIFO, 4),
        depth=13,
    ),
    Property(
        name="fifo-buffered",
        claim="amaranth's SyncFIFOBuffered at depth 4 (sequencer, router): the same.",
        make=lambda: QueueProof(fifo.SyncFIFOBuffered, 4),
        depth=13,
    ),
    Property(
        name="slice",
        claim="A register slice holds its output while it waits; nothing is lost, repeated or reordered.",
        make=lambda: SliceProof(2),
        depth=16,
    ),
    Property(
        name="slice-half",
        claim="The same of a register slice of one entry.",
        make=lambda: SliceProof(1),
        depth=16,
        induction=4,
    ),
    Property(
        name="handover",
        claim="A command goes over once, in the same cycle for both sides.",
        make=HandoverProof,
        depth=12,
        induction=3,
    ),
    Property(
        name="router",
        claim="The word router gives each run of words to its unit, whole and in order.",
        make=RouterProof,
        depth=12,
    ),
    Property(
        name="pipeline",
        claim="A kernel's pipeline holds its output while it waits; nothing is lost, repeated or reordered.",
        make=lambda: PipelineProof(300),
        depth=20,
    ),
    Property(
        name="stage",
        claim="The same of a pipeline of a single stage.",
        make=lambda: PipelineProof(20),
        depth=10,
        induction=4,
    ),
    Property(
        name="splitter",
        claim="The bursts of segments are exactly their words, in order, none across a 4 KiB stripe.",
        make=SplitterProof,
        depth=9,
    ),
    Property(
        name="limit",
        claim="No burst goes beyond LIMIT or across 4 KiB, whatever segment is asked for.",
        make=lambda: LimitProof(False),
        depth=12,
        induction=6,
    ),
    Property(
        name="fault",
        claim="A segment that leaves the memory or the address space is a fault when it is first cut.",
        make=lambda: LimitProof(True),
        depth=12,
    ),
    Property(
        name="port",
        claim="A read port has at most `outstanding` bursts on the bus, each within 4 KiB and stable until taken.",
        make=lambda: PortProof(2),
        depth=16,
    ),
    Property(
        name="port-single",
        claim="The same of a port with one burst outstanding.",
        make=lambda: PortProof(1),
        depth=10,
        induction=4,
    ),
    Property(
        name="prefetch",
        claim="The sequencer asks for program words only as far as its queue has room, so that they never block data.",
        make=PrefetchProof,
        depth=22,
        arrays=True,
    ),
    *(
        Property(
            name=f"{kind}-{name}",
            claim=claim.format(f"{beats} beats a word, {ports} port(s)"),
            make=partial(proof, ports, beats),
            depth=depth,
        )
        for kind, claim, proof, depths in CONVERTERS
        for (name, (ports, beats)), depth in zip(WIDTHS.items(), depths, strict=True)
    ),
)
"""All properties."""
