// The bench around a Verilated accelerator, behind a C interface for ctypes. Status 0 is success; otherwise
// rtlm_error() has a sentence.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "axi.h"
#include "bench_config.h"
#include "memory_system.h"
#include "serial.h"
#include "spans.h"
#include "verilated.h"
#ifdef BENCH_TIMELINE
#include "timeline_config.h"
#endif
#if defined(BENCH_TRACE_FST)
#include "verilated_fst_c.h"
using TraceFile = VerilatedFstC;
#elif defined(BENCH_TRACE_VCD)
#include "verilated_vcd_c.h"
using TraceFile = VerilatedVcdC;
#elif defined(BENCH_TRACE_SAIF)
#include "verilated_saif_c.h"
using TraceFile = VerilatedSaifC;
#endif
#if defined(BENCH_TRACE_FST) || defined(BENCH_TRACE_VCD) || defined(BENCH_TRACE_SAIF)
#define BENCH_TRACE
#endif

namespace rtlm {

class Bench {
 public:
  Bench(const DramConfig& config, uint64_t memory_bytes)
      : storage_(memory_bytes), top_(std::make_unique<BenchTop>(&context_)), memory_(config, &storage_, bench_beat_bytes()) {
#ifdef BENCH_TRACE
    context_.traceEverOn(true);
#endif
    for (int p = 0; p < BENCH_PORTS; ++p) {
      AxiPins pins;
      bench_bind_port(*top_, p, pins);
      ports_.emplace_back(pins, memory_, p, stalls_, protocol_error_);
    }
    bench_bind_lite(*top_, lite_);
    bench_bind_activity(*top_, activity_);
    SerialPins serial;
    bench_bind_serial(*top_, serial);
    if (serial.rx) serial_ = std::make_unique<SerialHost>(serial);
    top_->rst = 1;
    idle();
  }
  ~Bench() {
    trace_stop();
    top_->final();
  }

  void reset(int64_t cycles) {
    memory_.clear();
    idle();
    top_->rst = 1;
    for (int64_t i = 0; i < cycles; ++i) clock();
    top_->rst = 0;
    protocol_error_.clear();
  }

  void cycle() {
    cycle_with([] {});
  }

  // Runs until the interrupt output is high; returns the cycles it took, at most `limit`.
  int64_t run(int64_t limit) {
    int64_t cycles = 0;
    while (cycles < limit && !top_->irq) {
      cycle();
      ++cycles;
    }
    return cycles;
  }

  bool irq() const { return top_->irq; }

  void write_register(uint64_t address, uint32_t value, int64_t limit) {
    need_lite();
    lite_.awaddr.set(address);
    lite_.wdata.set(value);
    lite_.wstrb.set(0xf);
    *lite_.awvalid = *lite_.wvalid = 1;
    *lite_.bready = 1;
    bool answered = false;
    uint64_t response = 0;
    for (int64_t i = 0; i < limit && !answered; ++i) {
      bool address_done = false, data_done = false;
      cycle_with([&] {
        address_done = *lite_.awvalid && *lite_.awready;
        data_done = *lite_.wvalid && *lite_.wready;
        answered = *lite_.bvalid;
        response = lite_.bresp.get();
      });
      if (address_done) *lite_.awvalid = 0;
      if (data_done) *lite_.wvalid = 0;
    }
    *lite_.awvalid = *lite_.wvalid = *lite_.bready = 0;
    finish_lite("write to", address, answered, response);
  }

  uint32_t read_register(uint64_t address, int64_t limit) {
    need_lite();
    lite_.araddr.set(address);
    *lite_.arvalid = 1;
    *lite_.rready = 1;
    bool answered = false;
    uint64_t response = 0, value = 0;
    for (int64_t i = 0; i < limit && !answered; ++i) {
      bool address_done = false;
      cycle_with([&] {
        address_done = *lite_.arvalid && *lite_.arready;
        answered = *lite_.rvalid;
        value = lite_.rdata.get();
        response = lite_.rresp.get();
      });
      if (address_done) *lite_.arvalid = 0;
    }
    *lite_.arvalid = *lite_.rready = 0;
    finish_lite("read of", address, answered, response);
    return uint32_t(value);
  }

  void trace_start(const std::string& path) {
#ifdef BENCH_TRACE
    if (trace_) throw std::runtime_error("a trace is already being written");
    trace_ = std::make_unique<TraceFile>();
    paused_ = false;
    top_->trace(trace_.get(), 99);
    trace_->open(path.c_str());
    if (!trace_->isOpen()) {
      trace_.reset();
      throw std::runtime_error("cannot write the trace " + path);
    }
#else
    throw std::runtime_error("this build has no trace support, so it cannot write " + path);
#endif
  }

  void trace_stop() {
#ifdef BENCH_TRACE
    if (trace_) trace_->close();
    trace_.reset();
#endif
  }

  // While paused nothing is recorded; what changes meanwhile shows as one change when the trace goes on.
  void trace_pause(bool paused) {
#ifdef BENCH_TRACE
    paused_ = paused;
#else
    static_cast<void>(paused);
#endif
  }

  void timeline_start() {
#ifdef BENCH_TIMELINE
    memory_.start_timeline(kObserved);
#else
    throw std::runtime_error("this build cannot record a timeline");
#endif
  }

  void timeline_stop() {
#ifdef BENCH_TIMELINE
    memory_.timeline.stop(memory_.cycle(), kObserved);
#endif
  }

  SerialHost& serial() {
    if (!serial_) throw std::runtime_error("this design has no serial line");
    return *serial_;
  }

  Storage& storage() { return storage_; }
  MemorySystem& memory() { return memory_; }
  Stalls& stalls() { return stalls_; }
  const std::vector<OperatorSpan>& spans() const { return spans_.spans(); }
  const std::string& protocol_error() const { return protocol_error_; }

 private:
  void idle() {
    for (AxiSlave& port : ports_) port.idle();
    for (Flag* flag : {lite_.awvalid, lite_.wvalid, lite_.bready, lite_.arvalid, lite_.rready}) {
      if (flag) *flag = 0;
    }
    if (serial_) serial_->idle();
  }

  // A cycle in which the AXI4 ports stand still.
  void clock() {
    top_->clk = 0;
    top_->eval();
    dump();
    rise();
    memory_.tick();
  }

  void rise() {
    context_.timeInc(1);
    top_->clk = 1;
    top_->eval();
    dump();
    context_.timeInc(1);
  }

  // A cycle; `sample` looks at the pins when they have settled, before the rising edge.
  template <class Sample>
  void cycle_with(Sample&& sample) {
    for (AxiSlave& port : ports_) port.drive();
    if (serial_) serial_->drive();
    top_->clk = 0;
    top_->eval();
    dump();
    for (AxiSlave& port : ports_) port.sample();
    if (serial_) serial_->sample();
    sample();
    const bool running = activity_.running();
    const int code = activity_.code();
    spans_.cycle(running, ActivityPin::operator_index(code));
#ifdef BENCH_TIMELINE
    if (memory_.timeline.recording()) record(running, code);
#endif
    rise();
    memory_.tick(running, code);
  }

#ifdef BENCH_TIMELINE
  // Track 0 is the activity while a step runs; the others are what timeline_config.h observes.
  void record(bool running, int code) {
    Timeline& timeline = memory_.timeline;
    const int64_t cycle = memory_.cycle();
    timeline.set(0, running ? 1 + code : 0, cycle);
    bench_observe(*top_->rootp, [&](int32_t track, int64_t value) { timeline.set(track, int32_t(value), cycle); });
    if (cycle % kSampleCycles) return;
    timeline.sample(cycle);
    timeline.sample(memory_.outstanding_reads());
    for (int p = 0; p < BENCH_PORTS; ++p) {
      const Port& port = memory_.port(p);
      timeline.sample(port.read_beats * port.beat_bytes);
      timeline.sample(port.write_beats * port.beat_bytes);
    }
    bench_levels(*top_->rootp, [&](int64_t value) { timeline.sample(value); });
  }
#endif

  void need_lite() const {
    if (!lite_.awvalid) throw std::runtime_error("this design has no AXI4-Lite port");
  }

  void finish_lite(const char* what, uint64_t address, bool answered, uint64_t response) const {
    const std::string subject = std::string(what) + " register " + std::to_string(address);
    if (!answered) throw std::runtime_error("the " + subject + " got no answer");
    if (response) throw std::runtime_error("the " + subject + " was answered with error " + std::to_string(response));
  }

  void dump() {
#ifdef BENCH_TRACE
    if (trace_ && !paused_) trace_->dump(context_.time());
#endif
  }

  VerilatedContext context_;
  Storage storage_;
  std::unique_ptr<BenchTop> top_;
  MemorySystem memory_;
  Stalls stalls_;
  std::string protocol_error_;
  std::vector<AxiSlave> ports_;
  LitePins lite_;
  std::unique_ptr<SerialHost> serial_;
  ActivityPin activity_;
  Spans spans_;
#ifdef BENCH_TRACE
  std::unique_ptr<TraceFile> trace_;
  bool paused_ = false;
#endif
};

struct Counters {
#define RTLM_COUNTERS(X)                                                                                       \
  X(cycles) X(read_idle_cycles) X(row_hits) X(row_misses) X(row_conflicts) X(data_clocks) X(refresh_clocks)    \
  X(row_clocks) X(turnaround_clocks) X(timing_clocks) X(idle_clocks) X(activates) X(precharges) X(reads)       \
  X(writes) X(refreshes) X(clocks_open) X(bus_overlaps)
#define X(name) int64_t name = 0;
  RTLM_COUNTERS(X)
#undef X
};

// Points at what a list holds, until that changes, and returns how much it is.
template <class Item>
int64_t look_at(const std::vector<Item>& list, const Item** items) {
  *items = list.data();
  return int64_t(list.size());
}

thread_local std::string error;

template <class Action>
int guarded(Action&& action) {
  try {
    action();
    return 0;
  } catch (const std::exception& problem) {
    error = problem.what();
    return 1;
  }
}

}  // namespace rtlm

using namespace rtlm;

extern "C" {

const char* rtlm_error() { return error.c_str(); }
const char* rtlm_dram_fields() { return dram_field_names(); }
const char* rtlm_counter_names() {
#define X(name) #name " "
  return RTLM_COUNTERS(X);
#undef X
}
int rtlm_ports() { return BENCH_PORTS; }
#ifdef BENCH_PROFILE
void __gcov_dump();
void rtlm_write_profile() { __gcov_dump(); }
#endif

Bench* rtlm_create(const DramConfig* config, uint64_t memory_bytes) {
  Bench* bench = nullptr;
  guarded([&] { bench = new Bench(*config, memory_bytes); });
  return bench;
}
void rtlm_destroy(Bench* bench) { delete bench; }

int rtlm_load(Bench* bench, uint64_t address, const uint8_t* data, uint64_t bytes) {
  return guarded([&] {
    if (!bench->storage().inside(address, bytes)) throw std::runtime_error("the range lies outside the memory");
    std::memcpy(bench->storage().at(address), data, bytes);
  });
}
int rtlm_read(Bench* bench, uint64_t address, uint8_t* data, uint64_t bytes) {
  return guarded([&] {
    if (!bench->storage().inside(address, bytes)) throw std::runtime_error("the range lies outside the memory");
    std::memcpy(data, bench->storage().at(address), bytes);
  });
}
int rtlm_map(Bench* bench, uint64_t address, const char* path) {
  return guarded([&] { bench->storage().map_file(address, path); });
}

void rtlm_reset(Bench* bench, int64_t cycles) { bench->reset(cycles); }
void rtlm_step(Bench* bench, int64_t cycles) {
  while (cycles-- > 0) bench->cycle();
}
int64_t rtlm_run(Bench* bench, int64_t limit) { return bench->run(limit); }
int rtlm_irq(Bench* bench) { return bench->irq(); }
int64_t rtlm_cycles(Bench* bench) { return bench->memory().cycle(); }
const char* rtlm_protocol_error(Bench* bench) { return bench->protocol_error().c_str(); }

int rtlm_write_register(Bench* bench, uint64_t address, uint32_t value, int64_t limit) {
  return guarded([&] { bench->write_register(address, value, limit); });
}
int rtlm_read_register(Bench* bench, uint64_t address, uint32_t* value, int64_t limit) {
  return guarded([&] { *value = bench->read_register(address, limit); });
}

// The serial line: its speed, bytes to the design, how many of them wait, bytes from it.
int rtlm_serial_speed(Bench* bench, double cycles_per_bit) {
  return guarded([&] { bench->serial().set_speed(cycles_per_bit); });
}
void rtlm_serial_send(Bench* bench, const uint8_t* data, int64_t count) { bench->serial().send(data, count); }
int64_t rtlm_serial_unsent(Bench* bench) { return bench->serial().unsent(); }
int64_t rtlm_serial_take(Bench* bench, uint8_t* data, int64_t room) {
  std::vector<uint8_t>& received = bench->serial().received();
  const int64_t count = std::min(room, int64_t(received.size()));
  std::copy_n(received.begin(), count, data);
  received.erase(received.begin(), received.begin() + count);
  return count;
}

void rtlm_stalls(Bench* bench, uint64_t seed, int percent) { bench->stalls().configure(seed, percent); }
void rtlm_faults(Bench* bench, const uint64_t* starts, const uint64_t* ends, const int64_t* responses, int64_t count) {
  std::vector<Fault> faults;
  for (int64_t i = 0; i < count; ++i) faults.push_back({starts[i], ends[i], uint8_t(responses[i])});
  bench->storage().faults = faults;
}
void rtlm_purposes(Bench* bench, const uint64_t* starts, const uint64_t* ends, const int64_t* indices, int64_t ranges,
                   int64_t purposes) {
  std::vector<Purpose> table;
  for (int64_t i = 0; i < ranges; ++i) table.push_back({starts[i], ends[i], indices[i]});
  bench->storage().set_purposes(table, purposes);
}
void rtlm_purpose_bytes(Bench* bench, int64_t* read, int64_t* written) {
  const Storage& storage = bench->storage();
  std::memcpy(read, storage.read_bytes.data(), storage.read_bytes.size() * sizeof(int64_t));
  std::memcpy(written, storage.write_bytes.data(), storage.write_bytes.size() * sizeof(int64_t));
}
void rtlm_counters(Bench* bench, int64_t* values) {
  Counters sum;
  sum.cycles = bench->memory().cycle();
  sum.read_idle_cycles = bench->memory().read_idle_cycles;
  for (const auto& channel : bench->memory().channels()) {
    const ChannelCounters counters = channel->at(bench->memory().now());
    sum.row_hits += counters.row_hits;
    sum.row_misses += counters.row_misses;
    sum.row_conflicts += counters.row_conflicts;
    sum.data_clocks += counters.data_clocks;
    sum.refresh_clocks += counters.refresh_clocks;
    sum.row_clocks += counters.row_clocks;
    sum.turnaround_clocks += counters.turnaround_clocks;
    sum.timing_clocks += counters.timing_clocks;
    sum.idle_clocks += counters.idle_clocks;
    sum.activates += counters.activates;
    sum.precharges += counters.precharges;
    sum.reads += counters.reads;
    sum.writes += counters.writes;
    sum.refreshes += counters.refreshes;
    sum.clocks_open += counters.clocks_open;
    sum.bus_overlaps += counters.bus_overlaps;
  }
  std::memcpy(values, &sum, sizeof(sum));
}
int rtlm_activity_codes() { return kActivityCodes; }
// While steps ran: cycles, memory clocks over all channels, where they went, idle ones by code.
void rtlm_activity(Bench* bench, int64_t* values) {
  const StepClocks& step = bench->memory().step_clocks();
  for (int64_t value : {step.cycles, step.clocks, step.data, step.refresh, step.rows, step.turnaround, step.timing}) {
    *values++ = value;
  }
  std::copy(step.idle.begin(), step.idle.end(), values);
}
// The last step's operators in the order in which cycles counted to them.
int64_t rtlm_operator_spans(Bench* bench, const OperatorSpan** spans) { return look_at(bench->spans(), spans); }
// Per port: bytes read, bytes written, read beats, write beats, cycles without a read, cycles with data not taken.
void rtlm_port_counters(Bench* bench, int64_t* values) {
  for (int p = 0; p < BENCH_PORTS; ++p) {
    const Port& port = bench->memory().port(p);
    for (int64_t value : {port.read_bytes, port.write_bytes, port.read_beats, port.write_beats, port.read_idle_cycles,
                          port.read_stalled_cycles}) {
      *values++ = value;
    }
  }
}

int rtlm_trace_start(Bench* bench, const char* path) {
  return guarded([&] { bench->trace_start(path); });
}
void rtlm_trace_stop(Bench* bench) { bench->trace_stop(); }
void rtlm_trace_pause(Bench* bench, int paused) { bench->trace_pause(paused); }

int rtlm_timeline_start(Bench* bench) {
  return guarded([&] { bench->timeline_start(); });
}
void rtlm_timeline_stop(Bench* bench) { bench->timeline_stop(); }
int rtlm_timeline_full(Bench* bench) { return bench->memory().timeline.full(); }
int64_t rtlm_timeline_spans(Bench* bench, const TimelineSpan** spans) {
  return look_at(bench->memory().timeline.spans(), spans);
}
int64_t rtlm_timeline_samples(Bench* bench, const int64_t** samples) {
  return look_at(bench->memory().timeline.samples(), samples);
}

}  // extern "C"
