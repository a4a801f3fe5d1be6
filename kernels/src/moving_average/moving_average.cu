// Moving averages.

KERNEL(THREADS) moving_average(float scale, float weight, const float* x, float* average, u32 len) {
  u64 i = ELEMENT;
  if (i < len) average[i] = interpolate(weight, average[i], x[i] * scale);
}
