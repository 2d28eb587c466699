// Ports in front of DRAM channels: bursts in order per port, split into DRAM bursts, with a fixed interconnect latency.
//
// A read sees memory as it was when its address was accepted, a write lands when its response appears: the worst
// order AXI allows, so that a missing wait for a response shows up as wrong data.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "activity.h"
#include "channel.h"
#include "storage.h"
#include "timeline.h"

namespace rtlm {

struct ReadBurst {
  uint64_t address = 0;
  int64_t arrival = 0;
  uint32_t id = 0;
  int beats = 0, beat = 0;
  int pieces = 0, issued = 0, ready = 0, delivered = 0;
  bool fetched = false, faulty = false;
  std::vector<int64_t> done;
  std::vector<uint8_t> data;
};

struct WriteBurst {
  uint64_t address = 0;
  uint32_t id = 0;
  int beats = 0, beat = 0;
  int pieces = 0, complete = 0, issued = 0;
  int64_t respond_at = kNever;
  bool applied = false;
  Response response = kOkay;
  std::vector<int64_t> arrival;
  std::vector<uint8_t> data, strobes;
};

// A fixed ring: bursts are accepted at the tail, finished at the head, without allocation.
template <class Burst>
class Ring {
 public:
  explicit Ring(size_t capacity) : capacity_(capacity) {
    size_t size = 1;
    while (size < capacity) size *= 2;
    items_.resize(size);
  }
  bool full() const { return count_ == capacity_; }
  bool empty() const { return count_ == 0; }
  size_t size() const { return count_; }
  Burst& push() { return items_[(head_ + count_++) & (items_.size() - 1)]; }
  void pop() {
    ++head_;
    --count_;
  }
  Burst& operator[](size_t i) { return items_[(head_ + i) & (items_.size() - 1)]; }
  void clear() { count_ = 0; }

 private:
  std::vector<Burst> items_;
  size_t capacity_, head_ = 0, count_ = 0;
};

struct Port {
  Port(size_t outstanding, size_t channels) : reads(outstanding), writes(outstanding), queued(channels, 0) {}

  int beat_bytes = 0;
  Ring<ReadBurst> reads;
  Ring<WriteBurst> writes;
  size_t read_issue = 0;     // first read burst with pieces that no channel has yet
  size_t write_receive = 0;  // first write burst whose data is still coming
  size_t write_issue = 0;    // first write burst with pieces that no channel has yet
  int64_t read_pieces = 0;   // pieces sent to a channel and not yet delivered to the port
  int64_t write_held = 0;    // pieces received and not yet sent to a channel
  std::vector<int32_t> queued;  // reads waiting in each channel's window
  int64_t read_bytes = 0, write_bytes = 0, read_beats = 0, write_beats = 0, read_idle_cycles = 0, read_stalled_cycles = 0;
  int64_t read_began = 0, write_began = 0;  // cycle of the first beat of the burst that is on the port, for timelines
};

class MemorySystem {
 public:
  MemorySystem(const DramConfig& config, Storage* storage, const std::vector<int>& beat_bytes)
      : config_(config),
        clocks_(config.memory_khz, config.fabric_khz),
        storage_(storage),
        shift_(log2_of(config.burst_bytes)) {
    for (int i = 0; i < config.channels; ++i) channels_.push_back(std::make_unique<Channel>(config, clocks_, i));
    for (int bytes : beat_bytes) {
      ports_.push_back(std::make_unique<Port>(size_t(config.outstanding), size_t(config.channels)));
      ports_.back()->beat_bytes = bytes;
    }
    const int64_t ports_per_channel = (int64_t(ports_.size()) + config.channels - 1) / config.channels;
    share_ = std::max<int64_t>(2, config.window / std::max<int64_t>(1, ports_per_channel));
    hold_ = std::max<int64_t>(4, config.port_buffer_bytes / config.burst_bytes);
  }

  // --- what a port's AXI side does -------------------------------------------------------------------------------
  bool can_accept_read(int p) const { return !ports_[p]->reads.full(); }

  void accept_read(int p, uint64_t address, int beats, uint32_t id, bool fetch_late) {
    Port& port = *ports_[p];
    ReadBurst& burst = port.reads.push();
    const uint64_t bytes = uint64_t(beats) * uint64_t(port.beat_bytes);
    burst.address = address;
    burst.arrival = cycle_ + config_.request_latency;
    burst.id = id;
    burst.beats = beats;
    burst.beat = burst.issued = burst.ready = burst.delivered = 0;
    burst.pieces = pieces(address, bytes);
    burst.done.assign(size_t(burst.pieces), kNever);
    burst.fetched = false;
    port.read_bytes += int64_t(bytes);
    ++reading_;
    if (!storage_) return;
    burst.faulty = storage_->response(address, bytes) != kOkay;
    burst.data.resize(bytes);
    storage_->account(storage_->read_bytes, address, bytes);
    if (!fetch_late) fetch(burst);
  }

  // The burst whose next beat can be delivered in this cycle, or null.
  ReadBurst* readable(int p) {
    Port& port = *ports_[p];
    if (port.reads.empty()) return nullptr;
    ReadBurst& burst = port.reads[0];
    const int needed = pieces(burst.address, uint64_t(burst.beat + 1) * uint64_t(port.beat_bytes));
    while (burst.ready < needed && burst.done[size_t(burst.ready)] <= cycle_) ++burst.ready;
    if (burst.ready < needed) return nullptr;
    if (storage_ && !burst.fetched) fetch(burst);
    return &burst;
  }

  Response read_response(int p, const ReadBurst& burst) const {
    if (!burst.faulty) return kOkay;
    const uint64_t bytes = uint64_t(ports_[p]->beat_bytes);
    return storage_->response(burst.address + uint64_t(burst.beat) * bytes, bytes);
  }

  void finish_read_beat(int p) {
    Port& port = *ports_[p];
    ReadBurst& burst = port.reads[0];
    if (timeline.recording()) record_read_beat(p, burst);
    ++port.read_beats;
    ++burst.beat;
    const bool last = burst.beat == burst.beats;
    const uint64_t end = burst.address + uint64_t(burst.beat) * uint64_t(port.beat_bytes);
    const int delivered = last ? burst.pieces : int((end >> shift_) - (burst.address >> shift_));
    port.read_pieces -= delivered - burst.delivered;
    burst.delivered = delivered;
    if (!last) return;
    port.reads.pop();
    --port.read_issue;
    --reading_;
  }

  bool can_accept_write(int p) const { return !ports_[p]->writes.full(); }

  void accept_write(int p, uint64_t address, int beats, uint32_t id) {
    Port& port = *ports_[p];
    WriteBurst& burst = port.writes.push();
    const uint64_t bytes = uint64_t(beats) * uint64_t(port.beat_bytes);
    burst.address = address;
    burst.id = id;
    burst.beats = beats;
    burst.beat = burst.complete = burst.issued = 0;
    burst.pieces = pieces(address, bytes);
    burst.arrival.assign(size_t(burst.pieces), kNever);
    burst.respond_at = kNever;
    burst.applied = false;
    burst.response = storage_ ? storage_->response(address, bytes) : kOkay;
    burst.data.resize(bytes);
    burst.strobes.resize(bytes);
  }

  bool can_accept_write_data(int p) const {
    const Port& port = *ports_[p];
    return port.write_receive < port.writes.size() && port.write_held < hold_;
  }

  // Takes one beat; returns whether it is the burst's last.
  bool accept_write_data(int p, const uint8_t* data, const uint8_t* strobes) {
    Port& port = *ports_[p];
    WriteBurst& burst = port.writes[port.write_receive];
    if (timeline.recording()) record_write_beat(p, burst);
    const size_t bytes = size_t(port.beat_bytes), offset = size_t(burst.beat) * bytes;
    if (storage_) {
      std::memcpy(&burst.data[offset], data, bytes);
      for (size_t i = 0; i < bytes; ++i) {
        const uint8_t strobe = strobes[i / 8] >> (i % 8) & 1;
        burst.strobes[offset + i] = strobe;
        port.write_bytes += strobe;
      }
    }
    ++port.write_beats;
    ++burst.beat;
    const bool last = burst.beat == burst.beats;
    const uint64_t end = burst.address + uint64_t(burst.beat) * bytes;
    const int complete = last ? burst.pieces : int((end >> shift_) - (burst.address >> shift_));
    for (; burst.complete < complete; ++burst.complete, ++port.write_held) {
      burst.arrival[size_t(burst.complete)] = cycle_ + config_.request_latency;
    }
    if (last) {
      ++port.write_receive;
      if (storage_) {
        const uint64_t address = burst.address;
        for (size_t i = 0, run; i < burst.strobes.size(); i += run) {  // runs of equal strobes
          for (run = 1; i + run < burst.strobes.size() && burst.strobes[i + run] == burst.strobes[i];) ++run;
          if (burst.strobes[i]) storage_->account(storage_->write_bytes, address + i, run);
        }
      }
    }
    return last;
  }

  // The burst whose write response can be sent in this cycle, or null. Its data is in memory from now on.
  WriteBurst* answerable(int p) {
    Port& port = *ports_[p];
    if (port.writes.empty() || port.writes[0].respond_at > cycle_) return nullptr;
    WriteBurst& burst = port.writes[0];
    if (storage_ && !burst.applied) {
      if (burst.response == kOkay) {
        storage_->write_strobed(burst.address, burst.data.data(), burst.strobes.data(), burst.data.size());
      }
      burst.applied = true;
    }
    return &burst;
  }

  void finish_write(int p) {
    Port& port = *ports_[p];
    port.writes.pop();
    --port.write_receive;
    --port.write_issue;
  }

  // --- time ------------------------------------------------------------------------------------------------------
  // `running` and `code`: what the design was doing in this cycle.
  void tick(bool running = false, int code = 0) {
    if (!reading_) ++read_idle_cycles;
    for (auto& port : ports_) port->read_idle_cycles += port->reads.empty();
    activity_.begin_cycle(running, code, channels_, now_);
    issue();
    ++cycle_;
    if (config_.ideal) return;
    now_ = clocks_.to_memory(cycle_);
    for (auto& channel : channels_) channel->advance(now_);
    activity_.end_cycle(channels_, now_);
  }

  void clear() {
    for (auto& channel : channels_) channel->clear();
    for (auto& port : ports_) {
      port->reads.clear();
      port->writes.clear();
      port->read_issue = port->write_issue = port->write_receive = 0;
      port->read_pieces = port->write_held = 0;
      port->queued.assign(port->queued.size(), 0);
    }
    reading_ = 0;
  }

  int64_t cycle() const { return cycle_; }
  int64_t now() const { return now_; }
  const StepClocks& step_clocks() const { return activity_.clocks(); }
  int64_t outstanding_reads() const { return reading_; }
  Port& port(int p) { return *ports_[p]; }
  int ports() const { return int(ports_.size()); }
  const std::vector<std::unique_ptr<Channel>>& channels() const { return channels_; }
  void set_log(std::vector<LogEntry>* log) {
    for (auto& channel : channels_) channel->log = log;
  }

  int64_t read_idle_cycles = 0;
  // Tracks: the signals of the design, then for each port its reads and its writes, then the channels.
  Timeline timeline;

  void start_timeline(int32_t signals) {
    port_tracks_ = signals;
    int32_t track = signals + 2 * ports();
    for (auto& channel : channels_) {
      channel->timeline = &timeline;
      channel->track = track++;
    }
    timeline.start(size_t(track));
  }

 private:
  // A burst is on a port from its first beat to its last. Its value is 1 + the purpose of its first byte.
  void record_read_beat(int p, const ReadBurst& burst) {
    if (!burst.beat) ports_[size_t(p)]->read_began = cycle_;
    if (burst.beat + 1 < burst.beats) return;
    timeline.burst(port_tracks_ + 2 * p, ports_[size_t(p)]->read_began, cycle_ + 1, purpose(burst.address));
  }

  void record_write_beat(int p, const WriteBurst& burst) {
    if (!burst.beat) ports_[size_t(p)]->write_began = cycle_;
    if (burst.beat + 1 < burst.beats) return;
    timeline.burst(port_tracks_ + 2 * p + 1, ports_[size_t(p)]->write_began, cycle_ + 1, purpose(burst.address));
  }

  int32_t purpose(uint64_t address) const { return storage_ ? 1 + int32_t(storage_->purpose(address)) : 1; }

  int pieces(uint64_t address, uint64_t bytes) const {
    return int(((address + bytes - 1) >> shift_) - (address >> shift_)) + 1;
  }

  void fetch(ReadBurst& burst) {
    storage_->copy_out(burst.address, burst.data.data(), burst.data.size());
    burst.fetched = true;
  }

  // Moves pieces into the channels' windows, a piece per port and turn, while anything fits.
  void issue() {
    const int count = ports();
    for (bool progress = true; progress;) {
      progress = false;
      for (int i = 0, p = turn_; i < count; ++i) {
        Port& port = *ports_[p];
        p = p + 1 == count ? 0 : p + 1;
        if (port.read_issue < port.reads.size() && port.read_pieces < hold_) progress |= issue_read(port);
        if (port.write_issue < port.writes.size() && port.write_held) progress |= issue_write(port);
      }
    }
    turn_ = turn_ + 1 == count ? 0 : turn_ + 1;
  }

  bool issue_read(Port& port) {
    ReadBurst& burst = port.reads[port.read_issue];
    if (burst.arrival > cycle_) return false;
    int64_t* done = &burst.done[size_t(burst.issued)];
    if (config_.ideal) {
      *done = cycle_ + config_.response_latency;
    } else {
      const auto [channel, address] = locate(burst.address, burst.issued);
      if (port.queued[channel] >= share_ || !channels_[channel]->can_read()) return false;
      channels_[channel]->push(false, address, now_, done, &port.queued[channel]);
    }
    ++port.read_pieces;
    if (++burst.issued == burst.pieces) ++port.read_issue;
    return true;
  }

  bool issue_write(Port& port) {
    WriteBurst& burst = port.writes[port.write_issue];
    if (burst.issued == burst.complete || burst.arrival[size_t(burst.issued)] > cycle_) return false;
    if (!config_.ideal) {
      const auto [channel, address] = locate(burst.address, burst.issued);
      if (!channels_[channel]->can_write()) return false;
      channels_[channel]->push(true, address, now_, nullptr, nullptr);
    }
    --port.write_held;
    if (++burst.issued == burst.pieces) {
      burst.respond_at = cycle_ + config_.response_latency;
      ++port.write_issue;
    }
    return true;
  }

  struct Place {
    size_t channel;
    uint64_t address;
  };
  Place locate(uint64_t burst_address, int piece) const {
    const uint64_t address = ((burst_address >> shift_) + uint64_t(piece)) << shift_;
    if (config_.channels == 1) return {0, address};
    const uint64_t chunk = uint64_t(config_.interleave_bytes), count = uint64_t(config_.channels);
    const uint64_t index = address / chunk;
    return {size_t(index % count), index / count * chunk + address % chunk};
  }

  const DramConfig config_;
  const Clocks clocks_;
  Storage* const storage_;
  std::vector<std::unique_ptr<Channel>> channels_;
  std::vector<std::unique_ptr<Port>> ports_;
  ActivityCounters activity_;
  const int shift_;
  int64_t now_ = 0;  // first memory clock of this cycle
  int64_t cycle_ = 0, share_ = 0, hold_ = 0, reading_ = 0;
  int32_t port_tracks_ = 0;
  int turn_ = 0;
};

}  // namespace rtlm
