// The DRAM model without a design: linear and random readers on every port, to know the memory's own ceiling.
#include <chrono>
#include <cstdint>
#include <cstring>
#include <vector>

#include "memory_system.h"

using namespace rtlm;

namespace {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 2 + 1) {}
  uint64_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_;
  }

 private:
  uint64_t state_;
};

}  // namespace

struct StreamRequest {
  int64_t ports, beat_bytes, bytes, burst_bytes, span_bytes, write_percent, seed;
};

struct StreamResult {
  int64_t cycles, bytes, row_hits, row_misses, row_conflicts;
  int64_t data_clocks, refresh_clocks, row_clocks, turnaround_clocks, timing_clocks, idle_clocks;
  int64_t activates, precharges, reads, writes, refreshes, clocks_open, bus_overlaps, host_ns, log_entries;
};

extern "C" {

const char* rtlm_dram_fields() { return dram_field_names(); }

// Random accesses when span_bytes is not 0 (uniform over the span), else a linear stream striped over the ports.
void rtlm_stream(const DramConfig* config, const StreamRequest* request, StreamResult* result, LogEntry* log,
                 int64_t log_capacity) {
  const int ports = int(request->ports);
  MemorySystem memory(*config, nullptr, std::vector<int>(size_t(ports), int(request->beat_bytes)));
  std::vector<LogEntry> entries;
  entries.reserve(size_t(log_capacity));
  if (log_capacity) memory.set_log(&entries);
  Random random(uint64_t(request->seed));
  std::vector<int64_t> asked(size_t(ports), 0);
  const int64_t burst = request->burst_bytes, per_port = request->bytes / ports / burst;
  const int beats = int(burst / request->beat_bytes);
  const std::vector<uint8_t> blank(size_t(request->beat_bytes), 0xff);
  int64_t left = per_port * ports;

  const auto start = std::chrono::steady_clock::now();
  while (left) {
    for (int p = 0; p < ports; ++p) {
      if (memory.readable(p)) {
        left -= memory.port(p).reads[0].beat + 1 == beats;
        memory.finish_read_beat(p);
      }
      if (memory.answerable(p)) {
        memory.finish_write(p);
        --left;
      }
      if (memory.can_accept_write_data(p)) memory.accept_write_data(p, blank.data(), blank.data());
      if (asked[p] == per_port) continue;
      const bool write = asked[p] * request->write_percent / 100 != (asked[p] + 1) * request->write_percent / 100;
      if (!(write ? memory.can_accept_write(p) : memory.can_accept_read(p))) continue;
      const uint64_t chunk = request->span_bytes ? random.next() % uint64_t(request->span_bytes / burst)
                                                 : uint64_t(asked[p] * ports + p);
      if (write) {
        memory.accept_write(p, chunk * uint64_t(burst), beats, 0);
      } else {
        memory.accept_read(p, chunk * uint64_t(burst), beats, 0, false);
      }
      ++asked[p];
    }
    memory.tick();
  }
  *result = {};
  result->host_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start).count();
  result->cycles = memory.cycle();
  result->bytes = per_port * ports * burst;
  for (const auto& channel : memory.channels()) {
    const ChannelCounters counters = channel->at(memory.now());
    result->row_hits += counters.row_hits;
    result->row_misses += counters.row_misses;
    result->row_conflicts += counters.row_conflicts;
    result->data_clocks += counters.data_clocks;
    result->refresh_clocks += counters.refresh_clocks;
    result->row_clocks += counters.row_clocks;
    result->turnaround_clocks += counters.turnaround_clocks;
    result->timing_clocks += counters.timing_clocks;
    result->idle_clocks += counters.idle_clocks;
    result->activates += counters.activates;
    result->precharges += counters.precharges;
    result->reads += counters.reads;
    result->writes += counters.writes;
    result->refreshes += counters.refreshes;
    result->clocks_open += counters.clocks_open;
    result->bus_overlaps += counters.bus_overlaps;
  }
  result->log_entries = int64_t(entries.size());
  if (log_capacity) std::memcpy(log, entries.data(), entries.size() * sizeof(LogEntry));
}

}  // extern "C"
