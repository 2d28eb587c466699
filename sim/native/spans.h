// A step as spans of cycles: which operator counted, one after the other.
#pragma once
#include <cstdint>
#include <vector>

namespace rtlm {

struct OperatorSpan {
  int64_t index, cycles;
};

class Spans {
 public:
  // A cycle; the first one of a step forgets the step before.
  void cycle(bool running, int index) {
    if (running && !running_) spans_.clear();
    running_ = running;
    if (!running) return;
    if (spans_.empty() || spans_.back().index != index) spans_.push_back({index, 0});
    ++spans_.back().cycles;
  }

  const std::vector<OperatorSpan>& spans() const { return spans_; }

 private:
  std::vector<OperatorSpan> spans_;
  bool running_ = false;
};

}  // namespace rtlm
