"""Writes words to memory, joining neighbouring ones to bursts."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, fifo, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2
from rtlm.hw.common.checks import check_power_of_two, check_range
from rtlm.hw.common.layouts import ADDRESS_BITS, word_write_layout
from rtlm.hw.memory.axi import AXI4Write, Burst, BusFault, forward
from rtlm.hw.memory.striping import Striping

BURST_QUEUE = 4
"""Bursts of a port that are collected and whose address or data are still waiting."""

WIDE_BITS = 64
"""Width of a port from which on its data wait in block memories."""


@dataclass(frozen=True, kw_only=True)
class WriterParams:
    """Shape of a `WordWriter`.

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
    burst_beats
        Longest burst, a power of two; each port stores twice as many beats.
    outstanding
        Bursts that a port may have sent without a response.
    """

    ports: int
    port_bits: int
    address_bits: int = 32
    word_bytes: int = 64
    burst_beats: int = 16
    outstanding: int = 8

    def __post_init__(self) -> None:
        """Validate."""
        AXI4Write(address_bits=self.address_bits, data_bits=self.port_bits)
        beat_bytes = self.striping.beat_bytes
        if self.word_bytes % beat_bytes:
            raise ValueError(f"a word of {self.word_bytes} bytes does not consist of beats of {beat_bytes} bytes")
        check_power_of_two("beats_per_word", self.beats_per_word)
        check_power_of_two(
            f"burst_beats with ports of {self.port_bits} bits", self.burst_beats, 1, self.striping.burst_beats
        )
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
    def beat_bits(self) -> int:
        """Bits of a beat address."""
        return self.striping.beat_bits(self.address_bits)

    @property
    def payload(self) -> data.StructLayout:
        """Payload of the input stream; an address beyond the address space is beyond the limit, too."""
        return word_write_layout(max(self.beat_bits, ADDRESS_BITS), self.word_bytes)

    @property
    def axi(self) -> AXI4Write:
        """Signature of a port."""
        return AXI4Write(address_bits=self.address_bits, data_bits=self.port_bits)


class _WritePort(wiring.Component):
    """One port: collects beats to bursts, sends them and counts the responses.

    A beat is on `offer`; it is taken by `push`, which is allowed while `ready`. A beat that does not `write` is not
    written, but its `last` closes the burst all the same. `flush` closes an open burst. Whether a beat follows the
    open burst is found out a cycle before it is offered: then it `comes`, at address `coming`, which `continues`, the
    address after that of the beat on offer, or does not.
    """

    def __init__(self, params: WriterParams, index: int):
        self._params = params
        self._index = index
        super().__init__(
            {
                "axi": Out(params.axi),
                "offer": In(1),
                "ready": Out(1),
                "push": In(1),
                "address": In(params.beat_bits),
                "next_address": In(params.beat_bits),
                "data": In(params.port_bits),
                "strobe": In(params.port_bits // 8),
                "writes": In(1),
                "last": In(1),
                "comes": In(1),
                "coming": In(params.beat_bits),
                "continues": In(1),
                "flush": In(1),
                "busy": Out(1),
                "failed": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Describe the port."""
        m = Module()
        params, axi = self._params, self.axi
        offset_bits = exact_log2(params.burst_beats)

        burst = Signal(data.StructLayout({"address": params.beat_bits, "more": max(offset_bits, 1)}))
        m.submodules.bursts = bursts = fifo.SyncFIFO(width=burst.shape().size, depth=BURST_QUEUE)
        m.submodules.lengths = lengths = fifo.SyncFIFO(width=max(offset_bits, 1), depth=BURST_QUEUE)

        # Data and strobes have a memory each: cutting them apart would cost a simulator wide shifts in every cycle.
        # Wide and short, data would take tables and a register behind them; a narrow port's are left to the tool.
        depth = 2 * params.burst_beats
        stored, fetched = Signal(range(2 * depth)), Signal(range(2 * depth))
        store, fetch, fetched_valid = Signal(), Signal(), Signal()
        stores = (("data", self.data, axi.wdata, "block"), ("strobe", self.strobe, axi.wstrb, "distributed"))
        for name, value, out, style in stores:
            attrs = {"ram_style": style} if params.port_bits >= WIDE_BITS else {}
            m.submodules[name] = kept = memory.Memory(shape=len(value), depth=depth, init=[], attrs=attrs)
            write, read = kept.write_port(), kept.read_port()
            m.d.comb += [
                write.addr.eq(stored[:-1]),
                write.data.eq(value),
                write.en.eq(store),
                read.addr.eq(fetched[:-1]),
                read.en.eq(fetch),
                out.eq(read.data),
            ]
        m.d.comb += fetch.eq((stored != fetched) & (~fetched_valid | (axi.wvalid & axi.wready)))
        # A cycle late, so that the last place stays free for the beat that is stored meanwhile.
        room = Signal(init=1)
        m.d.sync += room.eq((stored - fetched)[: len(stored)] < depth - 1)
        with m.If(store):
            m.d.sync += stored.eq(stored + 1)
        with m.If(fetch):
            m.d.sync += [fetched.eq(fetched + 1), fetched_valid.eq(1)]
        with m.Elif(axi.wvalid & axi.wready):
            m.d.sync += fetched_valid.eq(0)

        # A burst is closed by `last`, at a multiple of the longest burst (hence before a stripe ends) and by a beat
        # that does not follow. That beat waits for a cycle, as only one burst is closed in a cycle.
        start, following = (Signal(params.beat_bits, name=n, reset_less=True) for n in ("start", "following"))
        # `opened` is `count != 0` as a register: it stands in front of all ports' `ready`.
        count, opened = Signal(range(params.burst_beats + 1)), Signal()
        follows, early, breaks = Signal(), Signal(), Signal()
        at_end = self.address[:offset_bits].all()
        m.d.comb += [
            breaks.eq(opened & self.offer & self.writes & ~follows),
            early.eq(breaks | (opened & self.flush)),
            # While a burst is flushed, nothing is pushed anyway.
            self.ready.eq(room & bursts.w_rdy & ~breaks),
            store.eq(self.push & self.writes),
            burst.address.eq(Mux(opened, start, self.address)),
            burst.more.eq(Mux(store, count, count - 1)),
            bursts.w_data.eq(burst),
            bursts.w_en.eq(early | (self.push & Mux(self.writes, self.last | at_end, self.last & opened))),
        ]
        with m.If(store):
            m.d.sync += following.eq(self.next_address)
        with m.If(self.comes):
            m.d.sync += follows.eq(Mux(store, self.continues, self.coming == following))
        with m.If(bursts.w_en & bursts.w_rdy):
            m.d.sync += [count.eq(0), opened.eq(0)]
        with m.Elif(store):
            m.d.sync += [count.eq(count + 1), opened.eq(1), start.eq(burst.address)]

        outstanding = Signal(range(params.outstanding + 1))
        send = Signal()
        m.d.comb += [
            axi.awburst.eq(Burst.INCR),
            axi.awsize.eq(exact_log2(params.port_bits // 8)),
            axi.bready.eq(1),
            # One place in the queue of lengths is for the address that may be waiting now.
            send.eq(
                bursts.r_rdy
                & (~axi.awvalid | axi.awready)
                & (outstanding != params.outstanding)
                & (lengths.level < BURST_QUEUE - 1)
            ),
            bursts.r_en.eq(send),
            self.busy.eq(opened | bursts.r_rdy | (outstanding != 0)),
            self.failed.eq(axi.bvalid & (axi.bresp != 0)),
        ]
        closed = data.View(burst.shape(), bursts.r_data)
        address = Signal(params.address_bits, reset_less=True)
        length = Signal(len(axi.awlen), reset_less=True)
        m.d.comb += [axi.awaddr.eq(address), axi.awlen.eq(length)]
        with m.If(send):
            m.d.sync += [
                axi.awvalid.eq(1),
                address.eq(params.striping.byte_address_value(closed.address, self._index)),
                length.eq(closed.more),
            ]
        with m.Elif(axi.awready):
            m.d.sync += axi.awvalid.eq(0)
        with m.If(send != axi.bvalid):
            m.d.sync += outstanding.eq(Mux(send, outstanding + 1, outstanding - 1))

        # Data follow their address: some slaves take no data before it.
        sent = Signal(max(offset_bits, 1))
        m.d.comb += [
            lengths.w_data.eq(axi.awlen),
            lengths.w_en.eq(axi.awvalid & axi.awready),
            axi.wvalid.eq(lengths.r_rdy & fetched_valid),
            axi.wlast.eq(sent == lengths.r_data),
        ]
        with m.If(axi.wvalid & axi.wready):
            m.d.comb += lengths.r_en.eq(axi.wlast)
            m.d.sync += sent.eq(Mux(axi.wlast, 0, sent + 1))
        return m


class WordWriter(wiring.Component):
    """Writes words, whole or in part, to memory over all ports.

    A word is split into beats and ports; parts without strobes are not written. Each port by itself joins
    neighbouring beats to bursts, until `last` is set with a word or a beat does not follow: whoever writes a run of
    words sets `last` with the run's final word, otherwise the end of the run stays in the writer. Input is stalled
    while a port's memory is slow.

    A word that begins at or after `limit`, or whose address is not a multiple of a word, is not written and sets
    `error`; so does a response other than OKAY. After that words are taken and dropped, so that nothing hangs.
    `drain` (a cycle or longer) takes no words, sends what was collected, awaits the responses and clears the error;
    then the writer is as after reset.

    Latency: three cycles from a word with `last` to its address on the ports (plus one for each beat of the word but
    one); data follow the address a cycle later.

    Throughput: a beat a cycle; a word that does not follow its predecessor costs one more cycle if that had no `last`.

    Parameters
    ----------
    params : WriterParams
        Shape of the writer.

    Attributes
    ----------
    i : In(stream of WriterParams.payload)
        Beat address (a multiple of a word), data, a strobe for each byte, last word of a run.
    m0_axi, m1_axi ... : Out(AXI4Write)
        The ports.
    limit : In
        First beat that may not be written; multiples of a word.
    drain : In(1)
        Finish and forget, see above.
    idle : Out(1)
        All words are written and answered.
    error : Out(BusFault)
        The first fault since reset or drain.
    """

    def __init__(self, params: WriterParams):
        self.params = params
        super().__init__(
            {
                "i": In(stream.Signature(params.payload)),
                **{f"m{port}_axi": Out(params.axi) for port in range(params.ports)},
                "limit": In(params.beat_bits + 1),
                "drain": In(1),
                "idle": Out(1),
                "error": Out(BusFault),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Describe the writer."""
        m = Module()
        params = self.params
        beat_shift = exact_log2(params.beats_per_word)
        beat_bytes = params.striping.beat_bytes

        draining, flush = Signal(), Signal()
        m.d.comb += flush.eq(self.drain | draining)

        # The word being split; its lowest beat is the next to go.
        held = Signal(params.payload, reset_less=True)
        writes = Signal(params.beats_per_word * params.ports, reset_less=True)
        valid = Signal()
        left = Signal(range(params.beats_per_word))
        go = Signal()
        word = self.i.payload
        next_address, coming, within = Signal(params.beat_bits), Signal(params.beat_bits), Signal()
        m.d.comb += [
            next_address.eq(held.address + 1),
            within.eq(valid & (left != 0)),
            coming.eq(Mux(within, next_address, word.address)),
        ]

        ports = []
        for index in range(params.ports):
            m.submodules[f"port{index}"] = port = _WritePort(params, index)
            ports.append(port)
            m.d.comb += [
                port.offer.eq(valid),
                port.push.eq(go),
                port.address.eq(held.address),
                port.next_address.eq(next_address),
                port.data.eq(held.data.word_select(index, params.port_bits)),
                port.strobe.eq(held.strobe.word_select(index, params.port_bits // 8)),
                port.writes.eq(writes[index]),
                port.last.eq(held.last & (left == 0)),
                port.comes.eq(~valid | go),
                port.coming.eq(coming),
                port.continues.eq(coming == next_address),
                port.flush.eq(flush),
            ]
            forward(m, port.axi, getattr(self, f"m{index}_axi"))

        m.d.comb += [
            go.eq(valid & ~flush & Cat(port.ready for port in ports).all()),
            self.i.ready.eq(~flush & (~valid | (go & (left == 0)))),
            self.idle.eq(~valid & ~Cat(port.busy for port in ports).any()),
        ]
        misaligned, outside, load = Signal(), Signal(), Signal()
        m.d.comb += [
            misaligned.eq(word.address[:beat_shift].any()),
            outside.eq(word.address >= self.limit),
            load.eq(self.i.valid & self.i.ready & (self.error == BusFault.NONE) & ~misaligned & ~outside),
        ]
        # One flat condition for the wide registers: a simulator then leaves them alone while nothing is written.
        with m.If(load):
            strobes = [
                word.strobe.word_select(beat, params.port_bits // 8)
                for beat in range(params.beats_per_word * params.ports)
            ]
            m.d.sync += [
                held.eq(word),
                left.eq(params.beats_per_word - 1),
                writes.eq(Cat(strobe.any() for strobe in strobes)),
            ]
        if params.beats_per_word > 1:
            with m.Elif(go):
                m.d.sync += [
                    left.eq(left - 1),
                    held.address.eq(next_address),
                    held.data.eq(held.data >> (8 * beat_bytes)),
                    held.strobe.eq(held.strobe >> beat_bytes),
                    writes.eq(writes >> params.ports),
                ]
        with m.If(load):
            m.d.sync += valid.eq(1)
        with m.Elif(go & (left == 0)):
            m.d.sync += valid.eq(0)
        with m.If(self.error == BusFault.NONE):
            with m.If(Cat(port.failed for port in ports).any()):
                m.d.sync += self.error.eq(BusFault.RESPONSE)
            with m.Elif(self.i.valid & self.i.ready & (misaligned | outside)):
                m.d.sync += self.error.eq(Mux(misaligned, BusFault.ALIGNMENT, BusFault.LIMIT))
        with m.If(flush):
            m.d.sync += [valid.eq(0), draining.eq(self.drain | ~self.idle)]
            with m.If(self.idle):
                m.d.sync += self.error.eq(BusFault.NONE)
        return m
