// Where the memory's clocks went while a step ran: the channels' counters, and idle clocks by what the design was doing.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "channel.h"

namespace rtlm {

constexpr int kActivityCodes = 64;

struct StepClocks {
  int64_t cycles = 0, clocks = 0;  // fabric cycles, and memory clocks over all channels
  int64_t data = 0, refresh = 0, rows = 0, turnaround = 0, timing = 0;
  std::array<int64_t, kActivityCodes> idle{};
};

// The design says in each cycle whether a step is running, and a code for what it is doing.
class ActivityCounters {
 public:
  using Channels = std::vector<std::unique_ptr<Channel>>;

  // Before the cycle's memory clocks have passed; `now` is the first of them.
  void begin_cycle(bool running, int code, Channels& channels, int64_t now) {
    code_ = code;
    if (running != running_) {
      if (running) {
        start_ = totals(channels, now);
        started_ = now;
      } else {
        add(totals(channels, now), (now - started_) * int64_t(channels.size()));
      }
      running_ = running;
    }
    clocks_.cycles += running;
  }

  // After they have passed; `now` is the first clock of the next cycle.
  void end_cycle(Channels& channels, int64_t now) {
    int64_t clocks = 0;
    for (auto& channel : channels) {
      const int64_t idle = channel->settle(now);
      clocks += idle;
      if (kTimeline && channel->timeline) {
        channel->timeline->add(channel->track, now - idle, now, int32_t(BusUse::kIdle) + code_);
      }
    }
    if (running_) clocks_.idle[size_t(code_)] += clocks;
  }

  const StepClocks& clocks() const { return clocks_; }

 private:
  static ChannelCounters totals(Channels& channels, int64_t now) {
    ChannelCounters sum;
    for (auto& channel : channels) {
      const ChannelCounters each = channel->at(now);
      sum.data_clocks += each.data_clocks;
      sum.refresh_clocks += each.refresh_clocks;
      sum.row_clocks += each.row_clocks;
      sum.turnaround_clocks += each.turnaround_clocks;
      sum.timing_clocks += each.timing_clocks;
    }
    return sum;
  }

  void add(const ChannelCounters& end, int64_t clocks) {
    clocks_.clocks += clocks;
    clocks_.data += end.data_clocks - start_.data_clocks;
    clocks_.refresh += end.refresh_clocks - start_.refresh_clocks;
    clocks_.rows += end.row_clocks - start_.row_clocks;
    clocks_.turnaround += end.turnaround_clocks - start_.turnaround_clocks;
    clocks_.timing += end.timing_clocks - start_.timing_clocks;
  }

  StepClocks clocks_;
  ChannelCounters start_;
  int64_t started_ = 0;
  bool running_ = false;
  int code_ = 0;
};

}  // namespace rtlm
