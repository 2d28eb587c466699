// Exact conversion between fabric cycles and memory clocks.
#pragma once
#include <cstdint>
#include <numeric>

namespace rtlm {

class Clocks {
 public:
  Clocks(int64_t memory_khz, int64_t fabric_khz) {
    const int64_t divisor = std::gcd(memory_khz, fabric_khz);
    memory_ = memory_khz / divisor;
    fabric_ = fabric_khz / divisor;
  }
  // First memory clock that does not begin before the given fabric cycle.
  int64_t to_memory(int64_t cycle) const { return (cycle * memory_ + fabric_ - 1) / fabric_; }
  // First fabric cycle that does not begin before the given memory clock.
  int64_t to_fabric(int64_t clock) const { return (clock * fabric_ + memory_ - 1) / memory_; }

 private:
  int64_t memory_, fabric_;
};

}  // namespace rtlm
