// The other end of a design's serial line: eight bits, no parity, one stop bit, at a speed of its own.
#pragma once
#include <cstdint>
#include <deque>
#include <vector>

#include "pins.h"

namespace rtlm {

struct SerialPins {
  Flag *rx = nullptr, *tx = nullptr;  // both null in a design without a serial line
};

class SerialHost {
 public:
  explicit SerialHost(const SerialPins& pins) : pins_(pins) {}

  void set_speed(double cycles_per_bit) { bit_ = cycles_per_bit; }
  void send(const uint8_t* data, int64_t count) { queue_.insert(queue_.end(), data, data + count); }
  int64_t unsent() const { return int64_t(queue_.size()) + (sending_ >= 0); }
  std::vector<uint8_t>& received() { return received_; }

  // What a reset leaves of the line: nothing is on it. What was not sent yet stays.
  void idle() {
    *pins_.rx = 1;
    sending_ = -1;
    seen_ = -1;
  }

  // The line to the design, before a cycle.
  void drive() {
    if (sending_ < 0 && !queue_.empty()) {
      sending_ = queue_.front();
      queue_.pop_front();
      sent_ = 0;
    }
    *pins_.rx = 1;
    if (sending_ < 0) return;
    const int bit = int(sent_ / bit_);
    *pins_.rx = Flag(bit == 0 ? 0 : bit <= kBits ? sending_ >> (bit - 1) & 1 : 1);
    sent_ += 1;
    if (sent_ >= bit_ * (kBits + 2)) sending_ = -1;
  }

  // The line from the design, in a cycle: each bit is looked at in its middle.
  void sample() {
    const bool level = *pins_.tx;
    if (seen_ < 0) {
      if (level) return;
      seen_ = 0;
      byte_ = taken_ = 0;
    }
    seen_ += 1;
    if (seen_ < bit_ * (taken_ + 0.5)) return;
    // Start bit, data, stop bit.
    if (taken_ >= 1 && taken_ <= kBits) byte_ |= int(level) << (taken_ - 1);
    if (taken_ == kBits + 1) {
      if (level) received_.push_back(uint8_t(byte_));
      seen_ = -1;
      return;
    }
    ++taken_;
  }

 private:
  static constexpr int kBits = 8;
  const SerialPins pins_;
  double bit_ = 1;
  std::deque<uint8_t> queue_;
  std::vector<uint8_t> received_;
  int sending_ = -1, byte_ = 0, taken_ = 0;
  double sent_ = 0, seen_ = -1;
};

}  // namespace rtlm
