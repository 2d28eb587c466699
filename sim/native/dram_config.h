// The DRAM model's parameters: one list gives the C++ struct and the names Python checks its own against.
#pragma once
#include <cstdint>

// Latencies and times without a suffix are in memory clocks (the command clock, half the data rate).
#define RTLM_DRAM_FIELDS(X)                                                                                   \
  X(ideal)             /* 1: fixed latency and full bandwidth, for unit tests only */                          \
  X(memory_khz)        /* command clock */                                                                    \
  X(fabric_khz)        /* clock of the design under test */                                                   \
  X(channels)          /* independent channels */                                                             \
  X(interleave_bytes)  /* neighbouring chunks of this size lie in neighbouring channels */                    \
  X(burst_bytes)       /* bytes of one read or write command */                                               \
  X(burst_clocks)      /* data-bus clocks of one read or write command */                                     \
  X(bank_groups)                                                                                              \
  X(banks_per_group)                                                                                          \
  X(row_bytes)         /* bytes of one open row over the width of the channel */                              \
  X(cl) X(cwl) X(rcd) X(rp) X(ras) X(rrd_s) X(rrd_l) X(faw) X(ccd_s) X(ccd_l)                                 \
  X(wr) X(wtr_s) X(wtr_l) X(rtp) X(rtw) X(rfc) X(refi)                                                        \
  X(rfc_bank)          /* refresh of one bank; 0: all banks together, after `rfc` */                          \
  X(rrefd)             /* from the refresh of a bank to the next command of that kind or an activation */     \
  X(window)            /* requests per channel and direction that the scheduler sees, at most 64 */           \
  X(write_high)        /* writes queued before a drain begins */                                              \
  X(write_low)         /* writes left when a drain ends while reads wait */                                   \
  X(patience)          /* clocks the oldest request waits before row hits of its bank stop passing it */      \
  X(request_latency)   /* fabric cycles from address handshake to the controller */                           \
  X(response_latency)  /* fabric cycles from the memory's last data clock to the port */                      \
  X(outstanding)       /* bursts a port accepts before it stops the address channel, each direction */        \
  X(port_buffer_bytes) /* data a port holds between controller and AXI, each direction */

namespace rtlm {

struct DramConfig {
#define X(name) int64_t name;
  RTLM_DRAM_FIELDS(X)
#undef X
};

inline const char* dram_field_names() {
#define X(name) #name " "
  return RTLM_DRAM_FIELDS(X);
#undef X
}

}  // namespace rtlm
