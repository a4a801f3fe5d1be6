// Element-wise formulas that several ops share.

// The point between `from` and `to` that is `weight` on the way.
__device__ inline float interpolate(float weight, float from, float to) {
  float way = to - from;
  return weight < 0.5f ? from + weight * way : to - way * (1.0f - weight);
}
