// One DRAM channel at command level: banks, bank groups, rows, refresh, and an open-page scheduler.
//
// Address mapping inside a channel, from the low end: byte in burst, bank group, column, bank, row. Neighbouring
// bursts lie in different bank groups, so that a linear stream pays tCCD_S and not tCCD_L.
//
// Every clock of the command timeline is counted exactly once: as data, refresh, rows, turn-around, timing, or idle.
//
// Scheduling: among the requests in the window the oldest whose row is open and whose timing allows it goes first
// (FR-FCFS); otherwise rows are opened, for the oldest request first, in banks that nobody uses any more. Writes collect
// until `write_high` wait or no read is left, then drain down to `write_low`, at most a window of them while reads wait.
// Refresh is all-bank, never postponed, or bank by bank: then a bank for which nobody waits goes first, and a refresh is
// postponed for want of one until `kMostOwed` are due (JEDEC allows eight refreshes of all banks).
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <vector>

#include "clocks.h"
#include "dram_config.h"
#include "request_queue.h"
#include "timeline.h"

namespace rtlm {

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

enum class Command : int32_t { kActivate, kPrecharge, kRead, kWrite, kPrechargeAll, kRefresh, kRefreshBank };

struct LogEntry {
  int64_t clock;
  int32_t command, channel, bank, group;
  int64_t row;
};

struct ChannelCounters {
  int64_t row_hits = 0, row_misses = 0, row_conflicts = 0;
  // Clocks in which a column command's data moves, and why none did: a refresh (with closing and reopening the rows), a
  // row that had to be opened, the bus changing direction, another minimum distance, no request. They add up.
  int64_t data_clocks = 0, refresh_clocks = 0, row_clocks = 0, turnaround_clocks = 0, timing_clocks = 0, idle_clocks = 0;
  // Commands; a precharge of all banks counts as one of each open bank. Clocks in which any row was open.
  int64_t activates = 0, precharges = 0, reads = 0, writes = 0, refreshes = 0;
  int64_t clocks_open = 0;
  int64_t bus_overlaps = 0;
};

inline int log2_of(int64_t power_of_two) { return __builtin_ctzll(uint64_t(power_of_two)); }

class Channel {
 public:
  Channel(const DramConfig& config, const Clocks& clocks, int index)
      : t_(config),
        clocks_(clocks),
        index_(index),
        burst_shift_(log2_of(config.burst_bytes)),
        group_shift_(log2_of(config.bank_groups)),
        column_shift_(log2_of(config.row_bytes / config.burst_bytes)),
        bank_shift_(log2_of(config.banks_per_group)),
        banks_(size_t(config.bank_groups * config.banks_per_group)) {
    refresh_at_ = t_.refi ? next_refresh() : kNever;
    activations_.fill(-kFar);
  }

  bool can_read() const { return reads_.count < t_.window; }
  bool can_write() const { return writes_.count < t_.window; }

  void push(bool write, uint64_t local_address, int64_t now, int64_t* done, int32_t* queued) {
    const uint64_t index = local_address >> burst_shift_;
    const uint64_t place = index >> (group_shift_ + column_shift_);
    Request request{};
    request.group = uint8_t(index & ((1u << group_shift_) - 1));
    request.bank = uint8_t((request.group << bank_shift_) + (place & ((1u << bank_shift_) - 1)));
    request.row = int32_t(place >> bank_shift_);
    request.arrival = now;
    request.done = done;
    request.queued = queued;
    settle(now);
    (write ? writes_ : reads_).add(request, banks_[request.bank].row);
    if (queued) ++*queued;
    next_ = std::min(next_, std::max(now, last_command_ + 1));
  }

  // No row is opened or closed before a clock, for a controller in front that does neither while it turns the bus round.
  void hold_rows(int64_t until) { rows_held_until_ = until; }

  // Carries out every command before `limit`.
  void advance(int64_t limit) {
    while (next_ < limit) next_ = step(next_);
  }

  // Counts the clocks before `now` in which nothing was queued as idle; returns how many had not been counted.
  int64_t settle(int64_t now) {
    if (reads_.count || writes_.count || counted_until_ >= now) return 0;
    const int64_t clocks = now - counted_until_;
    counters.idle_clocks += clocks;
    counted_until_ = now;
    return clocks;
  }

  // The counters at a clock: a gap whose end has not come counts as what it looks like, data that is still moving not yet.
  ChannelCounters at(int64_t now) {
    settle(now);
    if (counted_until_ < now) count_gap(now, 0, last_write_, 0);
    ChannelCounters result = counters;
    result.data_clocks -= counted_until_ - now;
    if (open_banks_) result.clocks_open += now - open_since_;
    return result;
  }

  // Forgets queued requests, for a reset of the design under test.
  void clear() {
    reads_ = writes_ = RequestQueue();
    draining_ = false;
  }

  ChannelCounters counters;
  std::vector<LogEntry>* log = nullptr;
  Timeline* timeline = nullptr;
  int32_t track = 0;  // of the timeline

 private:
  static constexpr int64_t kFar = int64_t(1) << 40;
  static constexpr int64_t kWriteIdle = 16;  // clocks without a read before a few collected writes go out
  static constexpr int64_t kReadTurn = 128;  // clocks that waiting reads have between two drains

  static constexpr int kMostOwed = 8;

  struct Bank {
    int32_t row = -1;
    int64_t activate_ok = 0, precharge_ok = 0, column_ok = 0;
    int64_t refresh_end = 0, used = -kFar;
  };

  void record(BusUse use, int64_t from, int64_t until) {
    if (kTimeline && timeline) timeline->add(track, from, until, int32_t(use));
  }

  void record(Command command, int64_t now, int bank, int group, int64_t row) {
    last_command_ = now;
    if (log && log->size() < log->capacity()) log->push_back({now, int32_t(command), index_, bank, group, row});
  }

  int64_t step(int64_t now) {
    if (now >= refresh_at_ && !t_.rfc_bank) return refresh(now);
    for (; now >= refresh_at_; refresh_at_ = next_refresh()) ++owed_;
    int64_t next = refresh_at_;
    if (owed_) {
      const int64_t at = refresh_bank(now);
      if (at <= now) return now + 1;
      next = std::min(next, at);
    }
    if (!choose_direction(now, next)) return next;
    RequestQueue& queue = draining_ ? writes_ : reads_;
    const int64_t* column_ok = draining_ ? write_ok_ : read_ok_;

    uint64_t hit_banks = queue.hit_banks;
    const Request& oldest = queue[0];
    if (now - oldest.arrival > t_.patience && banks_[oldest.bank].row != oldest.row) {
      hit_banks &= ~(uint64_t(1) << oldest.bank);
    }
    const int64_t bus_ok = *std::min_element(column_ok, column_ok + t_.bank_groups);
    if (hit_banks && bus_ok > now) {
      next = std::min(next, bus_ok);
    } else if (hit_banks) {
      for (int i = 0; i < queue.count; ++i) {
        const Request& request = queue[i];
        const Bank& bank = banks_[request.bank];
        if (bank.row != request.row || !(hit_banks >> request.bank & 1)) continue;
        const int64_t at = std::max(bank.column_ok, column_ok[request.group]);
        if (at <= now) {
          column(queue, i, now);
          return now + 1;
        }
        next = std::min(next, at);
      }
    }
    uint64_t waiting = queue.pending_banks & ~hit_banks;
    if (waiting && now < rows_held_until_) return std::min(next, rows_held_until_);
    for (int i = 0; waiting; ++i) {  // the oldest request of each bank, oldest first
      const Request& request = queue[i];
      if (!(waiting >> request.bank & 1) || request.row == banks_[request.bank].row) continue;
      waiting &= ~(uint64_t(1) << request.bank);
      const int64_t at = open_row(queue[i], now);
      if (at <= now) return now + 1;
      next = std::min(next, at);
    }
    return next;
  }

  // Reads or writes? False when there is nothing to do before `next`.
  bool choose_direction(int64_t now, int64_t& next) {
    const bool enough = writes_.count <= t_.write_low || drained_ >= t_.window;
    if (draining_ && (!writes_.count || (enough && reads_.count))) {
      draining_ = false;
      yielded_at_ = now;
    }
    if (draining_ || !writes_.count) return draining_ || reads_.count;
    int64_t drain_at = kNever;
    if (!reads_.count) {
      drain_at = writes_.count >= t_.write_high ? now : last_column_ + kWriteIdle;
    } else if (writes_.count >= t_.write_high) {
      drain_at = yielded_at_ + kReadTurn;
    }
    if (drain_at <= now) {
      draining_ = true;
      drained_ = 0;
      return true;
    }
    next = std::min(next, drain_at);
    return reads_.count;
  }

  void column(RequestQueue& queue, int position, int64_t now) {
    const Request request = queue[position];
    queue.remove(position);
    Bank& bank = banks_[request.bank];
    const bool write = draining_;
    drained_ += write;
    const int64_t data = now + (write ? t_.cwl : t_.cl);
    const int64_t end = data + t_.burst_clocks;
    for (int group = 0; group < t_.bank_groups; ++group) {
      const bool same = group == request.group;
      const int64_t repeat = now + (same ? t_.ccd_l : t_.ccd_s);
      const int64_t other = write ? end + (same ? t_.wtr_l : t_.wtr_s) : now + t_.rtw;
      read_ok_[group] = std::max(read_ok_[group], write ? other : repeat);
      write_ok_[group] = std::max(write_ok_[group], write ? repeat : other);
    }
    bank.precharge_ok = std::max(bank.precharge_ok, write ? end + t_.wr : now + t_.rtp);
    if (data < bus_free_) ++counters.bus_overlaps;
    count_gap(now, request.kind, write, bank.refresh_end);
    bank.used = now;
    counters.data_clocks += t_.burst_clocks;
    counted_until_ = now + t_.burst_clocks;
    record(BusUse::kData, now, counted_until_);
    last_write_ = write;
    bus_free_ = end;
    last_column_ = now;
    ++(write ? counters.writes : counters.reads);
    ++(request.kind == 0 ? counters.row_hits : request.kind == 1 ? counters.row_misses : counters.row_conflicts);
    if (request.done) *request.done = clocks_.to_fabric(end) + t_.response_latency;
    if (request.queued) --*request.queued;
    record(write ? Command::kWrite : Command::kRead, now, request.bank, request.group, request.row);
  }

  // Counts the clocks up to `now`, in which a request waited.
  void count_gap(int64_t now, uint8_t kind, bool write, int64_t bank_refresh_end) {
    const int64_t gap = now - counted_until_;
    BusUse use = BusUse::kTiming;
    if (std::max(refresh_end_, bank_refresh_end) > counted_until_) {
      counters.refresh_clocks += gap;
      use = BusUse::kRefresh;
    } else if (write != last_write_) {
      counters.turnaround_clocks += gap;
      use = BusUse::kTurnaround;
    } else if (kind) {
      counters.row_clocks += gap;
      use = BusUse::kRows;
    } else {
      counters.timing_clocks += gap;
    }
    record(use, counted_until_, now);
    counted_until_ = now;
  }

  // One step towards the row of a request: returns when it can be done, `now` when it was.
  int64_t open_row(Request& request, int64_t now) {
    const int index = request.bank;
    Bank& bank = banks_[index];
    if (bank.row >= 0) {
      if (bank.precharge_ok > now) return bank.precharge_ok;
      close(index, now);
      bank.activate_ok = std::max(bank.activate_ok, now + t_.rp);
      request.kind = 2;
      record(Command::kPrecharge, now, index, request.group, -1);
      return now;
    }
    const int64_t at = std::max({bank.activate_ok, activate_ok_[request.group], activations_[activation_] + t_.faw});
    if (at > now) return at;
    bank.row = request.row;
    ++counters.activates;
    if (!open_banks_++) open_since_ = now;
    reads_.open(index, bank.row);
    writes_.open(index, bank.row);
    bank.column_ok = now + t_.rcd;
    bank.precharge_ok = now + t_.ras;
    for (int group = 0; group < t_.bank_groups; ++group) {
      const int64_t next = now + (group == request.group ? t_.rrd_l : t_.rrd_s);
      activate_ok_[group] = std::max(activate_ok_[group], next);
    }
    activations_[activation_] = now;
    activation_ = (activation_ + 1) & 3;
    if (request.kind == 0) request.kind = 1;
    record(Command::kActivate, now, index, request.group, bank.row);
    return now;
  }

  void close(int bank, int64_t now) {
    banks_[size_t(bank)].row = -1;
    ++counters.precharges;
    if (!--open_banks_) counters.clocks_open += now - open_since_;
    reads_.close(bank);
    writes_.close(bank);
  }

  int64_t refresh(int64_t now) {
    int64_t precharge = now, ready = now;
    bool open = false;
    for (const Bank& bank : banks_) {
      if (bank.row >= 0) {
        open = true;
        precharge = std::max(precharge, bank.precharge_ok);
      }
      ready = std::max(ready, bank.activate_ok);
    }
    if (open) {
      record(Command::kPrechargeAll, precharge, -1, -1, -1);
      ready = std::max(ready, precharge + t_.rp);
    }
    record(Command::kRefresh, ready, -1, -1, -1);
    const int64_t end = ready + t_.rfc;
    for (size_t i = 0; i < banks_.size(); ++i) {
      if (banks_[i].row >= 0) close(int(i), precharge);
      banks_[i].activate_ok = std::max(banks_[i].activate_ok, end);
    }
    ++counters.refreshes;
    refresh_end_ = end;
    refresh_at_ = next_refresh();
    return end;
  }

  // When the next refresh is due, whose number goes up.
  int64_t next_refresh() {
    ++refresh_number_;
    return t_.rfc_bank ? refresh_number_ * t_.refi / int64_t(banks_.size()) : refresh_number_ * t_.refi;
  }

  // One step towards the refresh of a bank: returns when it can be done, `now` when it was.
  int64_t refresh_bank(int64_t now) {
    if (!unrefreshed_) unrefreshed_ = (uint64_t(2) << (banks_.size() - 1)) - 1;
    const uint64_t unused = unrefreshed_ & ~(reads_.pending_banks | writes_.pending_banks);
    if (!unused && owed_ < kMostOwed) return kNever;
    // The bank that was used last will be needed last by a stream.
    int index = -1;
    for (uint64_t left = unused ? unused : unrefreshed_; left; left &= left - 1) {
      const int candidate = __builtin_ctzll(left);
      if (index < 0 || banks_[size_t(candidate)].used > banks_[size_t(index)].used) index = candidate;
    }
    Bank& bank = banks_[size_t(index)];
    const int group = index >> bank_shift_;
    if (bank.row >= 0) {
      if (bank.precharge_ok > now) return bank.precharge_ok;
      close(index, now);
      bank.activate_ok = std::max(bank.activate_ok, now + t_.rp);
      record(Command::kPrecharge, now, index, group, -1);
      return now;
    }
    const int64_t at = std::max({bank.activate_ok, activate_ok_[group], refresh_ok_});
    if (at > now) return at;
    record(Command::kRefreshBank, now, index, group, -1);
    bank.refresh_end = now + t_.rfc_bank;
    bank.activate_ok = std::max(bank.activate_ok, bank.refresh_end);
    refresh_ok_ = now + t_.rrefd;
    for (int64_t& activate_ok : activate_ok_) activate_ok = std::max(activate_ok, refresh_ok_);
    unrefreshed_ &= ~(uint64_t(1) << index);
    --owed_;
    ++counters.refreshes;
    return now;
  }

  const DramConfig t_;
  const Clocks clocks_;
  const int index_;
  const int burst_shift_, group_shift_, column_shift_, bank_shift_;
  std::vector<Bank> banks_;
  RequestQueue reads_, writes_;
  bool draining_ = false, last_write_ = false;
  int drained_ = 0;             // writes since the drain began
  int64_t yielded_at_ = -kFar;  // when the last drain ended
  int64_t read_ok_[8] = {}, write_ok_[8] = {}, activate_ok_[8] = {};
  std::array<int64_t, 4> activations_;
  int activation_ = 0;
  int64_t next_ = 0, last_command_ = -1, last_column_ = -kFar, bus_free_ = 0;
  int64_t refresh_at_, refresh_end_ = 0, refresh_number_ = 0, refresh_ok_ = 0;
  uint64_t unrefreshed_ = 0;  // banks that are still to be refreshed in this round
  int owed_ = 0;              // refreshes of single banks that are due
  int64_t rows_held_until_ = 0;
  int open_banks_ = 0;          // banks with an open row
  int64_t open_since_ = 0;      // when the first of them was opened
  int64_t counted_until_ = 0;  // clocks before this one are in the counters
};

}  // namespace rtlm
