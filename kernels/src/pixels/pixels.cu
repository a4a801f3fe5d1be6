// u8 pixels (N, C, H*W) to activations, a thread each.

struct Pixels {
  u32 features, channels, plane, image;
};

struct Levels {
  float scale[3], shift[3];
};

KERNEL(THREADS) pixels(Pixels size, Levels levels, const u8* from, act* y) {
  u32 i = blockIdx.y * THREADS + threadIdx.x;
  if (i >= size.features) return;
  u64 sample = (u64)blockIdx.x * size.features;
  u32 feature = i % size.channels * size.plane + i / size.channels;
  bool first = feature < size.image, second = feature < 2 * size.image;
  float scale = first ? levels.scale[0] : second ? levels.scale[1] : levels.scale[2];
  float shift = first ? levels.shift[0] : second ? levels.shift[1] : levels.shift[2];
  y[sample + i] = fmaf((float)from[sample + feature], scale, shift);
}
