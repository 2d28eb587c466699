// Drives our DRAM channel (sim/native/channel.h) with the same accesses: as it is, or behind litedram's front end.
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "accesses.h"
#include "channel.h"

namespace {

using rtlm::Channel;

// litedram's structure, from litedram/core: crossbar.py, bankmachine.py, multiplexer.py. Times in controller cycles:
// read_time, write_time: how long a direction may last while the other has work;
// write_to_read, read_to_write: from the last command of a direction to the first of the other;
// row_cycles: precharge and activate, after which a head counts as ready.
struct FrontEnd {
  int64_t enabled, banks, bank_depth, read_time, write_time, write_to_read, read_to_write, write_to_precharge, row_cycles;
};

class Bench {
 public:
  Bench(const rtlm::DramConfig& config, const FrontEnd& front, int64_t count)
      : front_(front),
        clocks_(config.memory_khz, config.fabric_khz),
        channel_(config, clocks_, 0),
        burst_bytes_(uint64_t(config.burst_bytes)),
        words_per_row_(uint32_t(config.row_bytes / config.burst_bytes)),
        banks_(size_t(front.banks)),
        done_(size_t(count), rtlm::kNever),
        row_to_column_(config.rcd) {
    log_.reserve(64);  // it is emptied in each cycle
    if (front.enabled) channel_.log = &log_;
  }

  std::vector<int64_t> run(const std::vector<Access>& accesses, int ports, bool in_order) {
    Source source(accesses, ports, in_order);
    const int64_t limit = 100000 + 1000 * int64_t(accesses.size());  // never reached unless an access is lost
    while (cycle_ < limit && !finished()) {
      if (front_.enabled) {
        retire();
        schedule();
        turn();
        present();
      }
      for (int p = 0; p < ports; ++p) {
        const Access* access = source.offered(p);
        if (access && (front_.enabled ? accept(*access) : admit(*access))) source.take(p);
      }
      source.next_cycle();
      channel_.advance(clocks_.to_memory(++cycle_));
    }
    return done_;
  }

 private:
  // An access between the crossbar and the channel; `visible` is when the bank machine looks at it.
  struct Entry {
    Access access;
    int64_t visible;
    int64_t* done;
  };

  // A bank machine: a queue that works on its head only, which the channel gets at `present_at`.
  struct Bank {
    std::deque<Entry> queue;
    int32_t in_channel = 0;  // counted down by the channel when the column command goes out
    bool presented = false, scheduled = false, open = false;
    int64_t present_at = 0, ready_at = 0;
    uint32_t row = 0;
  };

  size_t bank_of(const Access& access) const { return access.word / words_per_row_ % banks_.size(); }
  uint32_t row_of(const Access& access) const { return access.word / words_per_row_ / uint32_t(banks_.size()); }
  int64_t now() const { return clocks_.to_memory(cycle_); }
  uint64_t address(const Access& access) const { return access.word * burst_bytes_; }

  bool finished() {
    while (finished_ < accepted_ && done_[finished_] != rtlm::kNever) ++finished_;
    return finished_ == done_.size();
  }

  // Without a front end: into the channel's window, at most one for each port in a cycle.
  bool admit(const Access& access) {
    if (!(access.write ? channel_.can_write() : channel_.can_read())) return false;
    channel_.push(access.write, address(access), now(), &done_[accepted_++], nullptr);
    return true;
  }

  // The crossbar: a port has accesses waiting in one bank only (LiteDRAMCrossbar's lock), and a bank serves one port.
  bool accept(const Access& access) {
    Bank& bank = banks_[bank_of(access)];
    if (int64_t(bank.queue.size()) >= front_.bank_depth) return false;
    for (const Bank& other : banks_) {
      if (other.queue.empty()) continue;
      if ((other.queue[0].access.port == access.port) != (&other == &bank)) return false;
    }
    bank.queue.push_back({access, cycle_ + 2, &done_[accepted_++]});  // a FIFO and a buffer, a cycle each
    return true;
  }

  // Takes heads away whose column command went out in the last cycle; the next one of the queue follows at once.
  void retire() {
    for (const rtlm::LogEntry& entry : log_) {
      if (entry.command != int32_t(rtlm::Command::kActivate)) continue;
      Bank& bank = banks_[size_t(entry.bank)];
      if (bank.ready_at == rtlm::kNever) bank.ready_at = clocks_.to_fabric(entry.clock + row_to_column_);
    }
    log_.clear();
    for (Bank& bank : banks_) {
      if (!bank.presented || bank.in_channel) continue;
      last_bank_ = &bank;
      const bool wrote = bank.queue[0].access.write;
      last_column_ = cycle_ - 1;
      bank.queue.pop_front();
      bank.presented = bank.scheduled = false;
      if (bank.queue.empty() || bank.queue[0].visible > cycle_ || row_of(bank.queue[0].access) == bank.row) continue;
      bank.scheduled = true;  // the column command had auto-precharge, because this row is another
      bank.present_at = cycle_ + (others_busy(bank) ? 2 + (wrote ? front_.write_to_precharge - 1 : 0) : 0);
      bank.ready_at = bank.present_at + front_.row_cycles;
    }
    if (channel_.counters.refreshes != refreshes_) {
      refreshes_ = channel_.counters.refreshes;
      for (Bank& bank : banks_) bank.open = false;
    }
  }

  // Whether other banks have work too: then the arbiters have turned away from this one.
  bool others_busy(const Bank& bank) const {
    for (const Bank& other : banks_) {
      if (&other != &bank && !other.queue.empty()) return true;
    }
    return false;
  }

  // The multiplexer's state machine: reads only or writes only, until no head is ready or its time is over.
  void turn() {
    bool same = false, other = false;
    for (Bank& bank : banks_) {
      if (bank.queue.empty() || !bank.scheduled || cycle_ < bank.ready_at) continue;
      (bool(bank.queue[0].access.write) == writing_ ? same : other) = true;
    }
    if (cycle_ < entered_ || !other) return;
    const int64_t limit = writing_ ? front_.write_time : front_.read_time;
    if (same && cycle_ - entered_ < limit) return;
    const int64_t wait = writing_ ? front_.write_to_read : front_.read_to_write;
    entered_ = std::max(cycle_ + 1, last_column_ + wait);
    writing_ = !writing_;
    channel_.hold_rows(clocks_.to_memory(entered_));  // the steerer sends nothing in the states RTW and WTR
  }

  // When the channel gets a head: a cycle to leave the regular state for a precharge or activate, and one for each
  // arbiter that has to turn to this bank (commands and columns, or columns alone).
  void schedule() {
    for (Bank& bank : banks_) {
      if (bank.queue.empty() || bank.scheduled || bank.queue[0].visible > cycle_) continue;
      const bool hit = bank.open && bank.row == row_of(bank.queue[0].access), moved = &bank != last_bank_;
      bank.scheduled = true;
      bank.present_at = cycle_ + (hit ? moved : 1 + 2 * (moved || others_busy(bank)));
      bank.ready_at = bank.present_at + (hit ? 0 : front_.row_cycles);
    }
  }

  void present() {
    for (Bank& bank : banks_) {
      if (!bank.scheduled || bank.presented || cycle_ < bank.present_at) continue;
      const Access& access = bank.queue[0].access;
      if (bool(access.write) != writing_) continue;
      if (cycle_ < bank.ready_at) bank.ready_at = rtlm::kNever;  // until the channel says when its row opens
      bank.open = bank.presented = true;
      bank.row = row_of(access);
      channel_.push(access.write, address(access), now(), bank.queue[0].done, &bank.in_channel);
    }
  }

  const FrontEnd front_;
  const rtlm::Clocks clocks_;
  Channel channel_;
  const uint64_t burst_bytes_;
  const uint32_t words_per_row_;
  std::vector<Bank> banks_;
  std::vector<int64_t> done_;
  const int64_t row_to_column_;
  std::vector<rtlm::LogEntry> log_;
  const Bank* last_bank_ = nullptr;
  size_t accepted_ = 0, finished_ = 0;
  int64_t cycle_ = 0, refreshes_ = 0, last_column_ = 0, entered_ = 0;
  bool writing_ = false;
};

}  // namespace

extern "C" {

const char* rtlm_dram_fields() { return rtlm::dram_field_names(); }

void check_run(const rtlm::DramConfig* config, const FrontEnd* front, const Request* request, const Access* accesses,
               int64_t ports, Result* result) {
  Bench bench(*config, *front, request->count);
  const std::vector<Access> measured(accesses, accesses + request->count);
  *result = summary(bench.run(measured, int(ports), request->in_order), request->warm_up);
}
}
