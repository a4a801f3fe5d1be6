// Vectors in half of their bytes.

// Behind the last of an odd count is a 0, so that words are whole.
KERNEL(THREADS) bf16_narrow(const float* x, bf16* y, u32 len) {
  u64 i = ELEMENT;
  if (i < len) y[i] = x[i];
  if (i == len && len % 2 == 1) y[i] = 0.0f;
}

KERNEL(THREADS) bf16_widen(const bf16* x, float* y, u32 len) {
  u64 i = ELEMENT;
  if (i < len) y[i] = x[i];
}
