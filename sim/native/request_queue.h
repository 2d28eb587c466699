// The requests that wait in front of a DRAM channel.
#pragma once
#include <array>
#include <cstdint>
#include <cstring>

namespace rtlm {

struct Request {
  int64_t arrival;
  int64_t* done;    // receives the fabric cycle in which the data is at the port
  int32_t* queued;  // the port's count of requests in this channel's window
  int32_t row;
  uint8_t bank, group;
  uint8_t kind;  // 0 row hit, 1 row opened for it, 2 another row closed for it
};

// Requests by age, with the banks that have requests for their open row and those that have only others.
class RequestQueue {
 public:
  int count = 0;
  uint64_t hit_banks = 0, pending_banks = 0;

  Request& operator[](int position) { return items_[order_[position]]; }

  void add(const Request& request, int32_t open_row) {
    const int slot = __builtin_ctzll(free_);
    free_ &= free_ - 1;
    items_[slot] = request;
    order_[count++] = uint8_t(slot);
    pending_banks |= bit(request.bank);
    ++pending_[request.bank];
    if (request.row == open_row) {
      hit_banks |= bit(request.bank);
      ++hits_[request.bank];
    }
  }

  // Removes a request of an open row.
  void remove(int position) {
    const int slot = order_[position], bank = items_[slot].bank;
    free_ |= bit(slot);
    --count;
    std::memmove(&order_[position], &order_[position + 1], size_t(count - position));
    if (!--pending_[bank]) pending_banks &= ~bit(bank);
    if (!--hits_[bank]) hit_banks &= ~bit(bank);
  }

  void close(int bank) {
    hits_[bank] = 0;
    hit_banks &= ~bit(bank);
  }

  void open(int bank, int32_t row) {
    for (int i = 0; i < count; ++i) hits_[bank] += (*this)[i].bank == bank && (*this)[i].row == row;
    if (hits_[bank]) hit_banks |= bit(bank);
  }

 private:
  static uint64_t bit(int index) { return uint64_t(1) << index; }

  std::array<Request, 64> items_;
  uint8_t order_[65] = {};
  uint8_t pending_[64] = {}, hits_[64] = {};
  uint64_t free_ = ~uint64_t(0);
};

}  // namespace rtlm
