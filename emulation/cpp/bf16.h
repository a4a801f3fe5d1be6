// Numbers of bf16 in libraries: the upper halves of f32, rounded to nearest, ties to even.
#pragma once
#include <cstdint>
#include <cstring>
#include <vector>

namespace bf16 {

inline float wide(uint16_t half) {
  uint32_t bits = uint32_t(half) << 16;
  float x;
  memcpy(&x, &bits, 4);
  return x;
}

inline uint16_t half(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  return x != x ? 0x7fff : uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

inline void widen(const uint16_t* from, std::vector<float>& to) {
  for (size_t i = 0; i < to.size(); i++) to[i] = wide(from[i]);
}

inline void narrow(const float* from, int64_t len, uint16_t* to) {
  for (int64_t i = 0; i < len; i++) to[i] = half(from[i]);
}

}  // namespace bf16
