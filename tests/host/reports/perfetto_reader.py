"""Reads a trace of TrackEvents as Perfetto's trace processor does, with the classes of its format."""

from collections import defaultdict
from dataclasses import dataclass, field

from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TracePacket, TrackEvent


@dataclass
class ReadSlice:
    name: str
    ts: int
    dur: int
    details: dict = field(default_factory=dict)


class PerfettoReader:
    """Slices and counters by the path of their track.

    Refuses what the trace processor would count as an error: events before the interned state they need, ends without
    a beginning, slices left open, events of unknown tracks.
    """

    def __init__(self, path):
        trace = Trace()
        trace.ParseFromString(path.read_bytes())
        self.names: dict[int, str] = {}
        self.slices: dict[str, list[ReadSlice]] = defaultdict(list)
        self.counters: dict[str, list[tuple[int, float]]] = defaultdict(list)
        self._tracks: dict[int, str] = {}
        self._open: dict[int, list[ReadSlice]] = defaultdict(list)
        assert trace.packet[0].sequence_flags == TracePacket.SEQ_INCREMENTAL_STATE_CLEARED
        interned: dict[int, str] = {}
        for packet in trace.packet:
            assert packet.trusted_packet_sequence_id
            if packet.HasField("track_descriptor"):
                each = packet.track_descriptor
                parent = f"{self._tracks[each.parent_uuid]}/" if each.HasField("parent_uuid") else ""
                assert each.uuid and each.uuid not in self._tracks
                self._tracks[each.uuid] = parent + each.name
            interned |= {entry.iid: entry.name for entry in packet.interned_data.event_names}
        # Sorted by time, those of the same time in the order of the file.
        for packet in sorted((p for p in trace.packet if p.HasField("track_event")), key=lambda p: p.timestamp):
            assert packet.sequence_flags == TracePacket.SEQ_NEEDS_INCREMENTAL_STATE
            self._event(packet.timestamp, packet.track_event, interned)
        assert not any(self._open.values())

    def _event(self, time, event, interned):
        track = self._tracks[event.track_uuid]
        if event.type == TrackEvent.TYPE_COUNTER:
            self.counters[track].append((time, event.double_counter_value))
        elif event.type == TrackEvent.TYPE_SLICE_BEGIN:
            details = {d.name: getattr(d, d.WhichOneof("value")) for d in event.debug_annotations}
            self._open[event.track_uuid].append(ReadSlice(interned[event.name_iid], time, 0, details))
        else:
            assert event.type == TrackEvent.TYPE_SLICE_END
            ended = self._open[event.track_uuid].pop()
            ended.dur = time - ended.ts
            self.slices[track].append(ended)

    def track(self, *path):
        """Return the slices of a track below the uppermost one."""
        (found,) = (slices for name, slices in self.slices.items() if name.endswith("/" + "/".join(path)))
        return found
