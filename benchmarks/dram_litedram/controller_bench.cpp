// Drives the native ports of litedram's controller (Verilated) with a list of accesses and times its data beats.
#include <cstdint>
#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "Vcontroller.h"
#include "accesses.h"

namespace {

constexpr int kPorts = CHECK_PORTS, kWords = CHECK_DATA_BITS / 32;

uint32_t mix(uint32_t value) {  // the finaliser of MurmurHash3: neighbouring values look unrelated
  value = (value ^ value >> 16) * 0x85ebca6bu;
  value = (value ^ value >> 13) * 0xc2b2ae35u;
  return value ^ value >> 16;
}

class Bench {
 public:
  Bench() : top_(std::make_unique<Vcontroller>()) {
    top_->sys_rst = 1;
    for (int i = 0; i < 8; ++i) clock();
    top_->sys_rst = 0;
  }

  // Runs a list of accesses to the end: the cycle of each data beat, in the order of their appearance.
  std::vector<int64_t> run(const std::vector<Access>& accesses, bool in_order) {
    Source source(accesses, kPorts, in_order);
    std::vector<int64_t> beats;
    for (int64_t idle = 0; beats.size() < accesses.size(); ++idle) {
      if (idle > 100000) break;  // the controller hangs: the caller sees that beats are missing
      const size_t before = beats.size();
      step(source, beats);
      if (beats.size() != before) idle = 0;
    }
    return beats;
  }

  int64_t errors = 0, checked = 0;

 private:
  struct Port {
    std::deque<uint32_t> write_data, expected;
  };

  void step(Source& source, std::vector<int64_t>& beats) {
    uint32_t valid = 0, write = 0;
    for (int p = 0; p < kPorts; ++p) {
      const Access* access = source.offered(p);
      if (access) {
        valid |= 1u << p;
        write |= uint32_t(access->write) << p;
        top_->address[p] = access->word;
      }
      for (int k = 0; k < kWords; ++k) {
        top_->write_data[p * kWords + k] = ports_[p].write_data.empty() ? 0 : ports_[p].write_data[0] + k;
      }
    }
    top_->valid = uint8_t(valid);
    top_->write = uint8_t(write);
    top_->eval();
    for (int p = 0; p < kPorts; ++p) {
      Port& port = ports_[p];
      if (top_->write_ready >> p & 1) {
        if (port.write_data.empty()) {
          ++errors;
        } else {
          port.write_data.pop_front();
        }
        beats.push_back(cycle_);
      }
      if (top_->read_valid >> p & 1) {
        check(port);
        beats.push_back(cycle_);
      }
    }
    for (int p = 0; p < kPorts; ++p) {
      if (valid >> p & 1 && top_->ready >> p & 1) accept(ports_[p], *source.take(p));
    }
    source.next_cycle();
    clock();
  }

  void accept(Port& port, const Access& access) {
    if (access.write) {
      const uint32_t data = mix(++serial_);
      port.write_data.push_back(data);
      memory_[access.word] = data;
    } else {
      const auto found = memory_.find(access.word);
      port.expected.push_back(found == memory_.end() ? 0 : found->second);
    }
  }

  // A word holds its first 32 bits, then these plus one, plus two ...; memory that was never written is zero.
  void check(Port& port) {
    bool good = !port.expected.empty();
    for (int k = 0; good && k < kWords; ++k) {
      good = top_->read_data[k] == (port.expected[0] ? port.expected[0] + k : 0);
    }
    errors += !good;
    checked += good && port.expected[0];
    if (!port.expected.empty()) port.expected.pop_front();
  }

  void clock() {
    top_->sys_clk = 0;
    top_->eval();
    top_->sys_clk = 1;
    top_->eval();
    ++cycle_;
  }

  std::unique_ptr<Vcontroller> top_;
  Port ports_[kPorts];
  std::unordered_map<uint32_t, uint32_t> memory_;
  uint32_t serial_ = 0;
  int64_t cycle_ = 0;
};

}  // namespace

extern "C" void check_run(const Request* request, const Access* accesses, Result* result) {
  Bench bench;
  const std::vector<Access> measured(accesses, accesses + request->count);
  bench.run(filling(measured), false);
  const std::vector<int64_t> beats = bench.run(measured, request->in_order);
  *result = summary(beats, request->warm_up);
  result->checked = bench.checked;
  result->errors = bench.errors + int64_t(measured.size() - beats.size());
}
