// The design's ports as plain pointers, so that the bench is written once for every width.
#pragma once
#include <cstdint>
#include <cstring>

namespace rtlm {

using Flag = uint8_t;  // a one-bit port

// A port of up to 64 bits.
struct Pin {
  void* data = nullptr;
  int bytes = 0;

  uint64_t get() const {
    switch (bytes) {
      case 1: return *static_cast<uint8_t*>(data);
      case 2: return *static_cast<uint16_t*>(data);
      case 4: return *static_cast<uint32_t*>(data);
      case 8: return *static_cast<uint64_t*>(data);
      default: return 0;
    }
  }
  void set(uint64_t value) const {
    switch (bytes) {
      case 1: *static_cast<uint8_t*>(data) = uint8_t(value); break;
      case 2: *static_cast<uint16_t*>(data) = uint16_t(value); break;
      case 4: *static_cast<uint32_t*>(data) = uint32_t(value); break;
      case 8: *static_cast<uint64_t*>(data) = value; break;
      default: break;
    }
  }
};

// Data and strobes of any width, little-endian bytes.
using Bytes = uint8_t*;

struct ReadPins {
  Pin araddr, arlen, arsize, arburst, arid, rresp, rid;
  Flag *arvalid = nullptr, *arready = nullptr, *rvalid = nullptr, *rready = nullptr, *rlast = nullptr;
  Bytes rdata = nullptr;
};

struct WritePins {
  Pin awaddr, awlen, awsize, awburst, awid, bresp, bid;
  Flag *awvalid = nullptr, *awready = nullptr, *wvalid = nullptr, *wready = nullptr, *wlast = nullptr;
  Flag *bvalid = nullptr, *bready = nullptr;
  Bytes wdata = nullptr, wstrb = nullptr;
};

struct AxiPins {
  ReadPins read;    // arvalid is null on a port that only writes
  WritePins write;  // awvalid is null on a port that only reads
};

struct LitePins {
  Pin awaddr, wdata, wstrb, bresp, araddr, rdata, rresp;
  Flag *awvalid = nullptr, *awready = nullptr, *wvalid = nullptr, *wready = nullptr, *bvalid = nullptr;
  Flag *bready = nullptr, *arvalid = nullptr, *arready = nullptr, *rvalid = nullptr, *rready = nullptr;
};

// What the design says it is doing: whether a step runs, and a code (`rtlm.hw.control.counters.ACTIVITY`).
struct ActivityPin {
  Pin activity;

  bool running() const { return activity.get() & 1; }
  int code() const { return int(activity.get() >> 1); }
  static int operator_index(int code) { return code >> 2; }  // above two bits about requests
};

template <class Signal>
Pin pin(Signal& signal) {
  static_assert(sizeof(Signal) <= 8, "this port has at most 64 bits");
  return {&signal, int(sizeof(Signal))};
}

template <class Signal>
Flag* flag(Signal& signal) {
  static_assert(sizeof(Signal) == 1, "this port has one bit");
  return &signal;
}

template <class Signal>
Bytes bytes(Signal& signal) {
  return reinterpret_cast<Bytes>(&signal);
}

}  // namespace rtlm
