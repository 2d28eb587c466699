// What happened when, for a timeline: spans of cycles in which something held, and samples of levels and byte counts.
//
// Only builds with BENCH_TIMELINE record; in others every function here is empty and costs nothing.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace rtlm {

#ifdef BENCH_TIMELINE
constexpr bool kTimeline = true;
#else
constexpr bool kTimeline = false;
#endif

constexpr int64_t kSampleCycles = 16;          // between two samples
constexpr size_t kMostSpans = size_t(1) << 22;  // then recording ends: 100 MB

// What a channel's data bus does; what nobody asked for has `kIdle` and the design's activity code.
enum class BusUse : int32_t { kData = 1, kRefresh, kRows, kTurnaround, kTiming, kIdle = 64 };

// From `start` to before `end`: fabric cycles, on channels memory clocks.
struct TimelineSpan {
  int64_t start, end;
  int32_t track, value;
};

class Timeline {
 public:
  void start(size_t tracks) {
    spans_.clear();
    samples_.clear();
    open_.assign(tracks, TimelineSpan{0, 0, 0, 0});
    recording_ = true;
    full_ = false;
  }

  // Ends all spans that are open on tracks of signals, which are those before `signals`.
  void stop(int64_t cycle, size_t signals) {
    if (!recording_) return;
    for (size_t track = 0; track < open_.size(); ++track) {
      if (track < signals) open_[track].end = cycle;
      close(open_[track]);
    }
    recording_ = false;
  }

  bool recording() const { return kTimeline && recording_; }
  bool full() const { return full_; }

  // A signal has a value in this cycle; 0 is not recorded.
  void set(int32_t track, int32_t value, int64_t cycle) {
    TimelineSpan& open = open_[size_t(track)];
    if (open.value == value) return;
    open.end = cycle;
    close(open);
    open = {cycle, cycle, track, value};
  }

  // Something held for some cycles; what follows without a gap becomes one span.
  void add(int32_t track, int64_t start, int64_t end, int32_t value) {
    if (!recording() || start >= end) return;
    TimelineSpan& open = open_[size_t(track)];
    if (open.value == value && open.end == start) {
      open.end = end;
      return;
    }
    close(open);
    open = {start, end, track, value};
  }

  // The same, never joined with what came before.
  void burst(int32_t track, int64_t start, int64_t end, int32_t value) {
    if (!recording()) return;
    TimelineSpan span{start, end, track, value};
    close(span);
  }

  void sample(int64_t value) { samples_.push_back(value); }

  const std::vector<TimelineSpan>& spans() const { return spans_; }
  const std::vector<int64_t>& samples() const { return samples_; }

 private:
  void close(const TimelineSpan& span) {
    if (!span.value || span.start >= span.end || full_) return;
    full_ = spans_.size() == kMostSpans;
    if (!full_) spans_.push_back(span);
  }

  std::vector<TimelineSpan> spans_, open_;
  std::vector<int64_t> samples_;
  bool recording_ = false, full_ = false;
};

}  // namespace rtlm
