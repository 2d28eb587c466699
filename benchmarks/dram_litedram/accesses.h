// Accesses of one DRAM burst each, which both benches replay, and what they report.
#pragma once
#include <algorithm>
#include <cstdint>
#include <set>
#include <vector>

struct Access {
  uint32_t word;  // address in DRAM bursts
  uint16_t port;
  uint16_t write;
};

struct Request {
  int64_t count, warm_up, in_order;
};

struct Result {
  int64_t beats, cycles;    // data beats after the warm-up, and the controller cycles they took
  int64_t errors, checked;  // wrong or missing data; reads compared with what was written before
};

// What each port offers in a cycle. In order: at most one access, the next of the list, as a single master would.
class Source {
 public:
  Source(const std::vector<Access>& accesses, int ports, bool in_order) : next_(size_t(ports), 0), in_order_(in_order) {
    queues_.resize(size_t(ports));
    for (const Access& access : accesses) {
      queues_[access.port].push_back(&access);
      order_.push_back(access.port);
    }
  }

  const Access* offered(int port) const {
    const size_t p = size_t(port);
    if (next_[p] == queues_[p].size() || (in_order_ && (taken_ || order_[position_] != port))) return nullptr;
    return queues_[p][next_[p]];
  }

  const Access* take(int port) {
    taken_ = true;
    ++position_;
    return queues_[size_t(port)][next_[size_t(port)]++];
  }

  void next_cycle() { taken_ = false; }

 private:
  std::vector<std::vector<const Access*>> queues_;
  std::vector<int> order_;
  std::vector<size_t> next_;
  size_t position_ = 0;
  const bool in_order_;
  bool taken_ = false;
};

// Writes every word that a list touches once, so that each read has something to find.
inline std::vector<Access> filling(const std::vector<Access>& accesses) {
  std::set<uint32_t> words;
  for (const Access& access : accesses) words.insert(access.word);
  std::vector<Access> writes;
  for (uint32_t word : words) writes.push_back({word, 0, 1});
  return writes;
}

inline Result summary(std::vector<int64_t> beats, int64_t warm_up) {
  if (int64_t(beats.size()) <= warm_up) return {};
  std::sort(beats.begin(), beats.end());
  return {int64_t(beats.size()) - warm_up, beats.back() - beats[size_t(warm_up) - 1], 0, 0};
}
