// Vectors in half of their bytes, on their way between GPUs.

// The upper half of an f32, rounded to nearest, ties to even; NaN stays one.
__device__ unsigned bf16_of(float x) {
  unsigned bits = __float_as_uint(x);
  if (x != x) return bits >> 16 | 0x40;
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

// Two numbers a word; behind the last of an odd count is a 0.
KERNEL(256) exchange_narrow(const float* x, unsigned* words, unsigned len) {
  unsigned word = blockIdx.x * blockDim.x + threadIdx.x;
  if (2 * word >= len) return;
  unsigned low = bf16_of(x[2 * word]);
  unsigned high = 2 * word + 1 < len ? bf16_of(x[2 * word + 1]) : 0;
  words[word] = high << 16 | low;
}

KERNEL(256) exchange_widen(const unsigned* words, float* x, unsigned len) {
  unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= len) return;
  unsigned word = words[i / 2];
  x[i] = __uint_as_float(i % 2 ? word & 0xffff0000 : word << 16);
}
