// The bytes behind the AXI ports: one flat range, faults for tests, traffic by purpose.
#pragma once
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

namespace rtlm {

enum Response : uint8_t { kOkay = 0, kSlaveError = 2, kDecodeError = 3 };

struct Purpose {
  uint64_t start, end;
  int64_t index;
};

struct Fault {
  uint64_t start, end;
  uint8_t response;
};

class Storage {
 public:
  explicit Storage(uint64_t bytes) : size_(bytes) {
    void* map = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED) throw std::runtime_error("cannot reserve " + std::to_string(bytes) + " bytes of memory");
    data_ = static_cast<uint8_t*>(map);
  }
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
  ~Storage() { munmap(data_, size_); }

  // Lays a file over the range at `address` without copying; writes stay private to this process.
  void map_file(uint64_t address, const std::string& path) {
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) throw std::runtime_error("cannot open " + path + ": " + std::strerror(errno));
    struct stat status {};
    const bool known = fstat(file, &status) == 0;
    const uint64_t bytes = known ? uint64_t(status.st_size) : 0;
    const bool aligned = address % uint64_t(sysconf(_SC_PAGESIZE)) == 0;
    std::string problem;
    if (!known || !aligned || !inside(address, bytes)) {
      problem = path + " with " + std::to_string(bytes) + " bytes does not fit at " + std::to_string(address) + " in " +
                std::to_string(size_) + " bytes of memory, or the address is not a multiple of the page size";
    } else if (bytes && mmap(data_ + address, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, file, 0) == MAP_FAILED) {
      problem = "cannot map " + path + ": " + std::strerror(errno);
    }
    close(file);
    if (!problem.empty()) throw std::runtime_error(problem);
  }

  bool inside(uint64_t address, uint64_t bytes) const { return address <= size_ && bytes <= size_ - address; }
  uint64_t size() const { return size_; }
  uint8_t* at(uint64_t address) { return data_ + address; }

  void copy_out(uint64_t address, uint8_t* destination, uint64_t bytes) const {
    if (inside(address, bytes)) {
      std::memcpy(destination, data_ + address, bytes);
    } else {
      for (uint64_t i = 0; i < bytes; ++i) destination[i] = inside(address + i, 1) ? data_[address + i] : 0xff;
    }
  }

  void write_strobed(uint64_t address, const uint8_t* source, const uint8_t* strobes, uint64_t bytes) {
    for (uint64_t i = 0; i < bytes; ++i) {
      if (strobes[i] && inside(address + i, 1)) data_[address + i] = source[i];
    }
  }

  Response response(uint64_t address, uint64_t bytes) const {
    for (const Fault& fault : faults) {
      if (address < fault.end && fault.start < address + bytes) return Response(fault.response);
    }
    return inside(address, bytes) ? kOkay : kDecodeError;
  }

  // Replaces the table of purposes; the last counter takes what no range covers.
  void set_purposes(std::vector<Purpose> ranges, int64_t count) {
    std::sort(ranges.begin(), ranges.end(), [](const Purpose& a, const Purpose& b) { return a.start < b.start; });
    purposes_ = std::move(ranges);
    read_bytes.assign(size_t(count) + 1, 0);
    write_bytes.assign(size_t(count) + 1, 0);
  }

  void account(std::vector<int64_t>& counters, uint64_t address, uint64_t bytes) const {
    const uint64_t end = address + bytes;
    auto range = range_from(address);
    for (; address < end && range != purposes_.end() && range->start < end; ++range) {
      if (range->start > address) {
        counters.back() += int64_t(range->start - address);
        address = range->start;
      }
      const uint64_t stop = std::min(end, range->end);
      counters[size_t(range->index)] += int64_t(stop - address);
      address = stop;
    }
    counters.back() += int64_t(end - address);
  }

  // The purpose of an address; what no range covers has the number behind the last.
  int64_t purpose(uint64_t address) const {
    auto range = range_from(address);
    return range != purposes_.end() && range->start <= address ? range->index : int64_t(read_bytes.size()) - 1;
  }

  std::vector<Fault> faults;
  std::vector<int64_t> read_bytes = {0}, write_bytes = {0};

 private:
  // The first range that ends behind an address.
  std::vector<Purpose>::const_iterator range_from(uint64_t address) const {
    return std::upper_bound(purposes_.begin(), purposes_.end(), address,
                            [](uint64_t value, const Purpose& purpose) { return value < purpose.end; });
  }

  uint8_t* data_;
  uint64_t size_;
  std::vector<Purpose> purposes_;
};

}  // namespace rtlm
