// u8 pixels (N, C, H*W) to activations, a thread each.

struct Pixels {
  u32 features, channels, plane;
};

KERNEL(THREADS) pixels(Pixels size, float scale, float shift, const u8* from, act* y) {
  u32 i = blockIdx.y * THREADS + threadIdx.x;
  if (i >= size.features) return;
  u64 sample = (u64)blockIdx.x * size.features;
  u32 feature = i % size.channels * size.plane + i / size.channels;
  y[sample + i] = fmaf((float)from[sample + feature], scale, shift);
}
