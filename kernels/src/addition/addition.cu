// Element-wise sums.

KERNEL(THREADS) add(const float* a, const float* b, float* y, u32 len) {
  u64 i = ELEMENT;
  if (i < len) y[i] = a[i] + b[i];
}

KERNEL(THREADS) accumulate(float* sum, const float* value, u32 len) {
  u64 i = ELEMENT;
  if (i < len) sum[i] += value[i];
}
