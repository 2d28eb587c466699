// Sign extension by two shifts in the generated code: where Verilator masks a bit, negates it and joins it with the
// value, a compiler sees no single move that extends a byte. The value has no bits above its sign, as Verilator promises.
#pragma once
#include <cstdint>

#include "verilated.h"
#include "verilated_funcs.h"

namespace rtlm {

inline uint32_t sign_extended(int bits, uint32_t value) {
  return uint32_t(int32_t(value << (32 - bits)) >> (32 - bits));
}
inline uint64_t sign_extended_64(int bits, uint64_t value) {
  return uint64_t(int64_t(value << (64 - bits)) >> (64 - bits));
}

}  // namespace rtlm

#define VL_EXTENDS_II(to_bits, bits, value) rtlm::sign_extended(bits, value)
#define VL_EXTENDS_QI(to_bits, bits, value) rtlm::sign_extended_64(bits, value)
#define VL_EXTENDS_QQ(to_bits, bits, value) rtlm::sign_extended_64(bits, value)
