// Second derivatives, element by element.

KERNEL(THREADS) curvature_square(const float* x, float* y, u32 len) {
  u64 i = ELEMENT;
  if (i < len) y[i] = x[i] * x[i];
}

KERNEL(THREADS) curvature_scale(float factor, float* x, u32 len) {
  u64 i = ELEMENT;
  if (i < len) x[i] *= factor;
}

// d = |d| * (1 - |d| / scale). A gradient that was rounded above its bound has no curvature, not a negative one; a NaN
// stays.
KERNEL(THREADS) curvature_logistic(float reciprocal, float* d, u32 len) {
  u64 i = ELEMENT;
  if (i >= len) return;
  float gradient = fabsf(d[i]);
  float rest = 1.0f - gradient * reciprocal;
  d[i] = gradient * (rest < 0.0f ? 0.0f : rest);
}
