"""Writes a timeline in Perfetto's format: a protobuf trace of TrackEvents.

A microsecond of the trace is a clock cycle: then every slice is exact, and a time that is read off is a number of
cycles. The real length of a cycle stands in the name of the uppermost track.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rtlm.host.reports.timeline import CounterTrack, Timeline, Track

NS_PER_CYCLE = 1000

_SEQUENCE = 1
_PACKETS_AT_ONCE = 20_000


def write_perfetto(timeline: Timeline, path: Path) -> None:
    """Write a timeline; an existing file is replaced.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace

    trace = Trace()
    with path.open("wb") as file:
        # Messages behind each other are one: their packets are appended.
        for packets, _ in enumerate(_Writer(timeline, trace).packets(), 1):
            if packets % _PACKETS_AT_ONCE == 0:
                file.write(trace.SerializeToString())
                trace.Clear()
        file.write(trace.SerializeToString())


class _Writer:
    """Appends packets to a trace."""

    def __init__(self, timeline: Timeline, trace: Any):
        from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as protos

        self._timeline, self._trace, self._protos = timeline, trace, protos
        self._names: dict[str, int] = {}
        self._tracks = 0

    def packets(self) -> Iterator[None]:
        """Append packet after packet."""
        timeline = self._timeline
        packet = self._packet()
        packet.sequence_flags = self._protos.TracePacket.SEQ_INCREMENTAL_STATE_CLEARED
        title = f"{timeline.config}: 1 µs is 1 cycle, in reality {1e3 / timeline.clock_mhz:.4g} ns"
        root = self._descriptor(packet, title, None, 0)
        yield
        groups: dict[str, list[Track | CounterTrack]] = {}
        every: list[Track | CounterTrack] = [*timeline.tracks, *timeline.counters]
        for track in every:
            groups.setdefault(track.group, []).append(track)
        for rank, (group, members) in enumerate(groups.items()):
            parent = self._descriptor(self._packet(), group, root, rank)
            yield
            for place, track in enumerate(members):
                packet = self._packet()
                uuid = self._descriptor(packet, track.name, parent, place)
                if isinstance(track, CounterTrack):
                    packet.track_descriptor.counter.unit_name = track.unit
                yield
                yield from self._values(track, uuid) if isinstance(track, CounterTrack) else self._slices(track, uuid)

    def _packet(self) -> Any:
        packet = self._trace.packet.add()
        packet.trusted_packet_sequence_id = _SEQUENCE
        packet.sequence_flags = self._protos.TracePacket.SEQ_NEEDS_INCREMENTAL_STATE
        return packet

    def _descriptor(self, packet: Any, name: str, parent: int | None, rank: int) -> int:
        self._tracks += 1
        descriptor = packet.track_descriptor
        descriptor.uuid, descriptor.name, descriptor.sibling_order_rank = self._tracks, name, rank
        descriptor.child_ordering = self._protos.TrackDescriptor.ChildTracksOrdering.EXPLICIT
        if parent is not None:
            descriptor.parent_uuid = parent
        return self._tracks

    def _event(self, cycle: float, kind: int, uuid: int) -> tuple[Any, Any]:
        packet = self._packet()
        packet.timestamp = round(cycle * NS_PER_CYCLE)
        event = packet.track_event
        event.type, event.track_uuid = kind, uuid
        return packet, event

    def _slices(self, track: Track, uuid: int) -> Iterator[None]:
        kinds = self._protos.TrackEvent.Type
        for each in track.slices:
            packet, event = self._event(each.start, kinds.TYPE_SLICE_BEGIN, uuid)
            event.name_iid = self._name(packet, each.name)
            for key, value in each.details.items():
                annotation = event.debug_annotations.add()
                annotation.name = key
                if isinstance(value, int):
                    annotation.int_value = value
                else:
                    annotation.string_value = value
            yield
            self._event(each.end, kinds.TYPE_SLICE_END, uuid)
            yield

    def _name(self, packet: Any, name: str) -> int:
        """Return the number of a name, which the first packet with it defines."""
        if name not in self._names:
            self._names[name] = len(self._names) + 1
            entry = packet.interned_data.event_names.add()
            entry.iid, entry.name = self._names[name], name
        return self._names[name]

    def _values(self, track: CounterTrack, uuid: int) -> Iterator[None]:
        for cycle, value in zip(track.cycles.tolist(), track.values.tolist(), strict=True):
            _, event = self._event(cycle, self._protos.TrackEvent.Type.TYPE_COUNTER, uuid)
            event.double_counter_value = value
            yield
