"""Reads a trace of TrackEvents without Perfetto's trace processor: slices and counters by track."""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class ReadSlice:
    """A slice of a trace.

    Parameters
    ----------
    name
        What it was.
    ts, dur
        Start and length in nanoseconds of the trace.
    details
        Its annotations.
    """

    name: str
    ts: int
    dur: int = 0
    details: dict[str, int | str] = field(default_factory=dict)


class PerfettoReader:
    """Slices and counters by the path of their track, as ``title/group/track``.

    Parameters
    ----------
    path
        The trace.

    Raises
    ------
    ValueError
        If it is not what the trace processor takes without an error: events of a track or with a name that nothing
        has described, an end without a beginning, slices that are left open.
    """

    def __init__(self, path: Path):
        from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TracePacket, TrackEvent

        self.slices: dict[str, list[ReadSlice]] = defaultdict(list)
        self.counters: dict[str, list[tuple[int, float]]] = defaultdict(list)
        self._kinds = TrackEvent
        self._tracks: dict[int, str] = {}
        self._open: dict[int, list[ReadSlice]] = defaultdict(list)
        self._names: dict[int, str] = {}
        trace = Trace()
        trace.ParseFromString(path.read_bytes())
        if not trace.packet or trace.packet[0].sequence_flags != TracePacket.SEQ_INCREMENTAL_STATE_CLEARED:
            raise ValueError(f"the trace {path} must begin with a packet that clears the interned names")
        for packet in trace.packet:
            if packet.HasField("track_descriptor"):
                self._describe(packet.track_descriptor)
            self._names |= {entry.iid: entry.name for entry in packet.interned_data.event_names}
        # Sorted by time, those of the same time in the order of the file.
        for packet in sorted((p for p in trace.packet if p.HasField("track_event")), key=lambda p: p.timestamp):
            self._event(packet.timestamp, packet.track_event)
        if left := [self._tracks[uuid] for uuid, slices in self._open.items() if slices]:
            raise ValueError(f"the trace {path} leaves slices of {left[0]} open")

    def track(self, *path: str) -> list[ReadSlice]:
        """Return the slices of a track, given from its group on; none where it has none."""
        end = "/" + "/".join(path)
        return next((slices for name, slices in self.slices.items() if name.endswith(end)), [])

    def counter(self, *path: str) -> list[tuple[int, float]]:
        """Return times and values of a counter, given from its group on."""
        end = "/" + "/".join(path)
        return next((values for name, values in self.counters.items() if name.endswith(end)), [])

    def _describe(self, track: Any) -> None:
        if not track.uuid or track.uuid in self._tracks:
            raise ValueError(f"the track {track.name} has the number {track.uuid}, which it must have alone")
        parent = f"{self._tracks[track.parent_uuid]}/" if track.HasField("parent_uuid") else ""
        self._tracks[track.uuid] = parent + track.name

    def _event(self, time: int, event: Any) -> None:
        if event.track_uuid not in self._tracks:
            raise ValueError(f"an event is on track {event.track_uuid}, which nothing describes")
        track = self._tracks[event.track_uuid]
        if event.type == self._kinds.TYPE_COUNTER:
            self.counters[track].append((time, event.double_counter_value))
        elif event.type == self._kinds.TYPE_SLICE_BEGIN:
            if event.name_iid not in self._names:
                raise ValueError(f"a slice of {track} has name {event.name_iid}, which nothing describes")
            details = {each.name: getattr(each, each.WhichOneof("value")) for each in event.debug_annotations}
            self._open[event.track_uuid].append(ReadSlice(self._names[event.name_iid], time, details=details))
        elif event.type == self._kinds.TYPE_SLICE_END:
            if not self._open[event.track_uuid]:
                raise ValueError(f"a slice of {track} ends at {time} ns that has not begun")
            ended = self._open[event.track_uuid].pop()
            ended.dur = time - ended.ts
            self.slices[track].append(ended)
