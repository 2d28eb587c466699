"""Parts of the stream reader: segments are cut into bursts, and each port fetches its share of every burst."""

from dataclasses import dataclass

from amaranth.hdl import Assert, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2
from rtlm.hw.common.checks import check_power_of_two, check_range
from rtlm.hw.common.layouts import ADDRESS_BITS, SegmentKind, segment_layout
from rtlm.hw.memory.axi import AXI4Read, Burst, BusFault
from rtlm.hw.memory.striping import Striping

FORMAL = "formal"
"""Platform for which units state invariants of their inside, for proofs."""


@dataclass(frozen=True, kw_only=True)
class ReaderParams:
    """Shape of a `StreamReader`.

    Parameters
    ----------
    ports
        Memory ports, a power of two.
    port_bits
        Data bits of a port.
    address_bits
        Bits of a byte address.
    word_bytes
        Bytes of a word, a multiple (by a power of two) of a beat.
    prefetch_words
        Words that the buffer holds, a power of two, at least two of the longest bursts.
    outstanding
        Bursts that a port may have requested and not yet received.
    """

    ports: int
    port_bits: int
    address_bits: int = 32
    word_bytes: int = 64
    prefetch_words: int = 512
    outstanding: int = 8

    def __post_init__(self) -> None:
        """Validate."""
        AXI4Read(address_bits=self.address_bits, data_bits=self.port_bits)
        beat_bytes = self.striping.beat_bytes
        if self.word_bytes % beat_bytes:
            raise ValueError(f"a word of {self.word_bytes} bytes does not consist of beats of {beat_bytes} bytes")
        # A word lies in one burst, and the buffer holds two of the longest bursts.
        check_power_of_two("beats_per_word", self.beats_per_word, 1, self.striping.burst_beats)
        check_power_of_two("prefetch_words", self.prefetch_words, 2 * self.burst_words)
        check_range("outstanding", self.outstanding, 1)

    @property
    def striping(self) -> Striping:
        """Map from beats to ports and byte addresses."""
        return Striping(ports=self.ports, port_bytes=self.port_bits // 8)

    @property
    def beats_per_word(self) -> int:
        """Beats of a word."""
        return self.word_bytes // self.striping.beat_bytes

    @property
    def burst_words(self) -> int:
        """Words of the longest burst."""
        return self.striping.burst_beats // self.beats_per_word

    @property
    def beat_bits(self) -> int:
        """Bits of a beat address."""
        return self.striping.beat_bits(self.address_bits)

    @property
    def word_address_bits(self) -> int:
        """Bits of a word's number: a beat address without the beat in the word."""
        return self.beat_bits - exact_log2(self.beats_per_word)

    @property
    def segment(self) -> data.StructLayout:
        """Payload of the segment stream; an address beyond the address space is beyond the limit, too."""
        return segment_layout(max(self.beat_bits, ADDRESS_BITS))

    @property
    def burst(self) -> data.StructLayout:
        """A burst inside the reader: number of its first word, words after that, kind."""
        return data.StructLayout(
            {"address": self.word_address_bits, "more": range(max(self.burst_words, 2)), "kind": SegmentKind}
        )

    @property
    def program_mark(self) -> data.StructLayout:
        """Where the words of a program burst lie in the buffer."""
        return data.StructLayout({"first": range(self.prefetch_words), "more": range(max(self.burst_words, 2))})

    @property
    def axi(self) -> AXI4Read:
        """Signature of a port."""
        return AXI4Read(address_bits=self.address_bits, data_bits=self.port_bits)


class BurstSplitter(wiring.Component):
    """Cuts segments into bursts that end at stripe boundaries: one burst a cycle, also across segments.

    A segment that is not allowed is dropped and reported by `fault` in that cycle.
    """

    def __init__(self, params: ReaderParams):
        self._params = params
        super().__init__(
            {
                "i": In(stream.Signature(params.segment)),
                "o": Out(stream.Signature(params.burst)),
                "limit": In(params.beat_bits + 1),
                "stop": In(1),
                "fault": Out(BusFault),
                "active": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Describe the splitter."""
        m = Module()
        params = self._params
        beat_shift = exact_log2(params.beats_per_word)
        offset_bits = exact_log2(params.burst_words)

        # A segment is kept as its next and its final word: its last burst is the one in the final word's stripe.
        address = Signal(params.word_address_bits, reset_less=True)
        final = Signal(max(params.word_address_bits, 32) + 1, reset_less=True)
        kind = Signal(SegmentKind, reset_less=True)
        burst = Signal(params.burst, reset_less=True)
        misaligned = Signal()
        split = Signal()
        last = Signal()
        m.d.comb += [
            self.o.payload.eq(burst),
            last.eq(address[offset_bits:] == final[offset_bits:]),
            split.eq(self.active & ~self.stop & (~self.o.valid | self.o.ready)),
            self.i.ready.eq((~self.active | (split & last)) & ~self.stop),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(split):
            with m.If(misaligned):
                m.d.comb += self.fault.eq(BusFault.ALIGNMENT)
            # Beyond the address space the limit does not help: addresses would begin again at zero.
            with m.Elif((final >= (self.limit >> beat_shift)) | final[params.word_address_bits :].any()):
                m.d.comb += self.fault.eq(BusFault.LIMIT)
            with m.Else():
                m.d.sync += self.o.valid.eq(1)
            end = Mux(last, final[:offset_bits], params.burst_words - 1)
            m.d.sync += [
                burst.address.eq(address),
                burst.more.eq(end - address[:offset_bits]),
                burst.kind.eq(kind),
                address.eq(Cat(Const(0, offset_bits), address[offset_bits:] + 1)),
            ]
            with m.If(last):
                m.d.sync += self.active.eq(0)
        if platform == FORMAL:
            # What an induction over the bursts needs to know about the inside.
            m.d.comb += Assert(~self.active | self.stop | (address <= final))
        with m.If(self.i.valid & self.i.ready):
            segment = self.i.payload
            first = segment.address[beat_shift:]
            m.d.sync += [
                # A segment of no words asks for nothing.
                self.active.eq(segment.words != 0),
                address.eq(first),
                final.eq(first + segment.words - 1),
                kind.eq(segment.kind),
                misaligned.eq(segment.address[:beat_shift].any()),
            ]
        return m


class ReadPort(wiring.Component):
    """One port: requests its part of each burst and keeps the beats, in a memory for each beat of a word."""

    def __init__(self, params: ReaderParams, index: int):
        self._params = params
        self._index = index
        super().__init__(
            {
                "axi": Out(params.axi),
                # A burst is waiting, and is taken into the address register.
                "waiting": In(1),
                "burst": In(params.burst),
                "take": Out(1),
                # Words that have arrived, modulo twice the buffer's size.
                "arrived": Out(range(2 * params.prefetch_words)),
                "read": In(1),
                "read_address": In(range(params.prefetch_words)),
                "beats": Out(data.ArrayLayout(params.port_bits, params.beats_per_word)),
                "stop": In(1),
                "flush": In(1),
                "busy": Out(1),
                "failed": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Describe the port."""
        m = Module()
        params, axi = self._params, self.axi
        beat_shift = exact_log2(params.beats_per_word)

        outstanding = Signal(range(params.outstanding + 1))
        finished = Signal()
        m.d.comb += [
            axi.arburst.eq(Burst.INCR),
            axi.arsize.eq(exact_log2(params.port_bits // 8)),
            # All requested beats have room, so the memory is never held up.
            axi.rready.eq(1),
            self.take.eq(
                self.waiting & ~self.stop & (~axi.arvalid | axi.arready) & (outstanding != params.outstanding)
            ),
            self.busy.eq(outstanding != 0),
            finished.eq(axi.rvalid & axi.rlast),
            self.failed.eq(axi.rvalid & (axi.rresp != 0)),
        ]
        address, length = Signal(params.address_bits, reset_less=True), Signal(len(axi.arlen), reset_less=True)
        m.d.comb += [axi.araddr.eq(address), axi.arlen.eq(length)]
        with m.If(self.take):
            beat = Cat(Const(0, beat_shift), self.burst.address)
            m.d.sync += [
                axi.arvalid.eq(1),
                address.eq(params.striping.byte_address_value(beat, self._index)),
                length.eq(Cat(Const((1 << beat_shift) - 1, beat_shift), self.burst.more)),
            ]
        with m.Elif(axi.arready):
            m.d.sync += axi.arvalid.eq(0)
        with m.If(self.take != finished):
            m.d.sync += outstanding.eq(Mux(self.take, outstanding + 1, outstanding - 1))

        place = Signal(range(params.beats_per_word))
        for beat in range(params.beats_per_word):
            m.submodules[f"bank{beat}"] = bank = memory.Memory(
                shape=params.port_bits, depth=params.prefetch_words, init=[], attrs={"ram_style": "block"}
            )
            write, read = bank.write_port(), bank.read_port()
            m.d.comb += [
                write.addr.eq(self.arrived[:-1]),
                write.data.eq(axi.rdata),
                write.en.eq(axi.rvalid & (place == beat)),
                read.addr.eq(self.read_address),
                read.en.eq(self.read),
                self.beats[beat].eq(read.data),
            ]
        with m.If(axi.rvalid):
            m.d.sync += place.eq(place + 1)
            with m.If(place == params.beats_per_word - 1):
                m.d.sync += self.arrived.eq(self.arrived + 1)
        with m.If(self.flush):
            # Bursts are whole words, and all beats are awaited: `place` comes back to zero by itself.
            m.d.sync += self.arrived.eq(0)
        return m
