// Element-wise sums.

KERNEL(THREADS) add(const act* a, const act* b, act* y, u32 len) {
  u64 i = ELEMENT;
  if (i < len) y[i] = a[i] + b[i];
}

KERNEL(THREADS) accumulate(act* sum, const act* value, u32 len) {
  u64 i = ELEMENT;
  if (i < len) sum[i] = sum[i] + value[i];
}
