// An AXI4 slave on one port: pins on one side, the memory system on the other, and a protocol checker between.
//
// Accepted: aligned INCR bursts of full-width beats within 4 KiB. Anything else is recorded as a protocol error.
#pragma once
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "memory_system.h"
#include "pins.h"

namespace rtlm {

// Seeded gaps on every ready and valid the bench drives.
class Stalls {
 public:
  void configure(uint64_t seed, int percent) {
    state_ = seed * 0x9e3779b97f4a7c15u | 1;
    threshold_ = uint64_t(percent) * (uint64_t(1) << 32) / 100;
  }
  bool active() const { return threshold_; }
  bool operator()() {
    if (!threshold_) return false;
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return (state_ >> 32) < threshold_;
  }

 private:
  uint64_t state_ = 1, threshold_ = 0;
};

// Copies a beat: a constant size is a few moves in place of a call.
inline void copy_beat(void* to, const void* from, size_t bytes) {
  switch (bytes) {
    case 8: std::memcpy(to, from, 8); break;
    case 16: std::memcpy(to, from, 16); break;
    case 32: std::memcpy(to, from, 32); break;
    case 64: std::memcpy(to, from, 64); break;
    default: std::memcpy(to, from, bytes);
  }
}

class AxiSlave {
 public:
  AxiSlave(const AxiPins& pins, MemorySystem& memory, int index, Stalls& stalls, std::string& protocol_error)
      : read_(pins.read), write_(pins.write), memory_(memory), index_(index), stalls_(stalls), error_(protocol_error) {
    beat_bytes_ = memory.port(index).beat_bytes;
    wdata_.resize(size_t(beat_bytes_));
    wstrb_.resize(size_t(beat_bytes_ + 7) / 8);
  }

  // Sets the design's inputs for the coming cycle.
  void drive() {
    if (read_.arvalid) drive_read();
    if (write_.awvalid) drive_write();
  }

  // Takes what both sides agree on in this cycle.
  void sample() {
    if (read_.arvalid) sample_read();
    if (write_.awvalid) sample_write();
  }

  void idle() {
    for (Flag* flag : {read_.arready, read_.rvalid, write_.awready, write_.wready, write_.bvalid}) {
      if (flag) *flag = 0;
    }
    held_read_ = held_write_ = {};
    held_data_ = false;
  }

 private:
  struct Address {
    bool valid = false;
    uint64_t address = 0, beats = 0, size = 0, burst = 0, id = 0;
    bool same(const Address& other) const {
      return address == other.address && beats == other.beats && size == other.size && burst == other.burst && id == other.id;
    }
  };

  void drive_read() {
    *read_.arready = memory_.can_accept_read(index_) && !stalls_();
    ReadBurst* burst = memory_.readable(index_);
    if (!*read_.rvalid || read_taken_) *read_.rvalid = burst && !stalls_();
    read_taken_ = false;
    if (!*read_.rvalid) {
      if (stalls_.active()) std::memset(read_.rdata, 0xa5, size_t(beat_bytes_));
      return;
    }
    copy_beat(read_.rdata, &burst->data[size_t(burst->beat * beat_bytes_)], size_t(beat_bytes_));
    read_.rresp.set(memory_.read_response(index_, *burst));
    read_.rid.set(burst->id);
    *read_.rlast = burst->beat + 1 == burst->beats;
  }

  void sample_read() {
    if (*read_.arvalid || held_read_.valid) {
      const Address now = sample_address(*read_.arvalid, read_.araddr, read_.arlen, read_.arsize, read_.arburst, read_.arid);
      check_held(held_read_, now, "read");
      const bool taken = now.valid && *read_.arready;
      if (taken) {
        check_address(now, "read");
        memory_.accept_read(index_, aligned(now.address), int(now.beats), uint32_t(now.id), stalls_());
      }
      held_read_ = taken ? Address{} : now;
    }
    if (*read_.rvalid) {
      if (*read_.rready) {
        memory_.finish_read_beat(index_);
        read_taken_ = true;
      } else {
        ++memory_.port(index_).read_stalled_cycles;
      }
    }
  }

  void drive_write() {
    *write_.awready = memory_.can_accept_write(index_) && !stalls_();
    *write_.wready = memory_.can_accept_write_data(index_) && !stalls_();
    WriteBurst* burst = memory_.answerable(index_);
    if (!*write_.bvalid || response_taken_) *write_.bvalid = burst && !stalls_();
    response_taken_ = false;
    if (*write_.bvalid) {
      write_.bresp.set(burst->response);
      write_.bid.set(burst->id);
    }
  }

  void sample_write() {
    if (*write_.wvalid || held_data_) sample_write_data();
    if (*write_.awvalid || held_write_.valid) {
      const Address now = sample_address(*write_.awvalid, write_.awaddr, write_.awlen, write_.awsize, write_.awburst, write_.awid);
      check_held(held_write_, now, "write");
      const bool taken = now.valid && *write_.awready;
      if (taken) {
        check_address(now, "write");
        memory_.accept_write(index_, aligned(now.address), int(now.beats), uint32_t(now.id));
      }
      held_write_ = taken ? Address{} : now;
    }
    if (*write_.bvalid && *write_.bready) {
      memory_.finish_write(index_);
      response_taken_ = true;
    }
  }

  void sample_write_data() {
    const size_t bytes = size_t(beat_bytes_), strobes = (bytes + 7) / 8;
    const bool valid = *write_.wvalid;
    if (held_data_ && !valid) fail("wvalid fell before wready");
    if (held_data_ && valid) {
      const bool same = !std::memcmp(wdata_.data(), write_.wdata, bytes) &&
                        !std::memcmp(wstrb_.data(), write_.wstrb, strobes) && wlast_ == *write_.wlast;
      if (!same) fail("write data changed while it waited");
    }
    held_data_ = valid && !*write_.wready;
    if (held_data_) {
      std::memcpy(wdata_.data(), write_.wdata, bytes);
      std::memcpy(wstrb_.data(), write_.wstrb, strobes);
      wlast_ = *write_.wlast;
    } else if (valid) {
      const bool last = memory_.accept_write_data(index_, write_.wdata, write_.wstrb);
      if (last != bool(*write_.wlast)) fail("wlast is not at the last beat of the write burst");
    }
  }

  Address sample_address(Flag valid, const Pin& address, const Pin& length, const Pin& size, const Pin& burst, const Pin& id) {
    if (!valid) return {};
    return {true, address.get(), length.get() + 1, size.get(), burst.get(), id.get()};
  }

  void check_held(const Address& held, const Address& now, const char* what) {
    if (!held.valid) return;
    if (!now.valid) fail(std::string(what) + " address valid fell before ready");
    if (now.valid && !held.same(now)) fail(std::string(what) + " address changed while it waited");
  }

  void check_address(const Address& now, const char* what) {
    const uint64_t bytes = now.beats * uint64_t(beat_bytes_);
    const std::string burst = std::string(what) + " burst of " + std::to_string(now.beats) + " beats at " + std::to_string(now.address);
    if (now.burst != 1) fail(burst + " is not INCR");
    if ((uint64_t(1) << now.size) != uint64_t(beat_bytes_)) fail(burst + " is not of full-width beats");
    if (now.address != aligned(now.address)) fail(burst + " is not aligned to a beat");
    if (now.address / 4096 != (now.address + bytes - 1) / 4096) fail(burst + " crosses 4 KiB");
  }

  uint64_t aligned(uint64_t address) const { return address & ~uint64_t(beat_bytes_ - 1); }

  void fail(const std::string& problem) {
    if (error_.empty()) {
      error_ = "Port " + std::to_string(index_) + ", cycle " + std::to_string(memory_.cycle()) + ": " + problem + ".";
    }
  }

  const ReadPins read_;
  const WritePins write_;
  MemorySystem& memory_;
  const int index_;
  Stalls& stalls_;
  std::string& error_;
  int beat_bytes_;
  Address held_read_, held_write_;
  bool held_data_ = false, read_taken_ = false, response_taken_ = false;
  std::vector<uint8_t> wdata_, wstrb_;
  Flag wlast_ = 0;
};

}  // namespace rtlm
