// Trainable sub-sampling: a thread an element, sums of the parameters' gradients in two stages.

struct Subsample {
  u32 channels, height, width, out_height, out_width;

  // Where an output lies.
  __device__ u64 output(u32 n, u32 i, u32 j, u32 channel) const {
    return (((u64)n * out_height + i) * out_width + j) * channels + channel;
  }

  // The sum of an output's window: (upper left + upper right) + (lower left + lower right).
  __device__ float window(const act* x, u32 n, u32 i, u32 j, u32 channel) const {
    const act* upper = x + (((u64)n * height + 2 * i) * width + 2 * j) * channels + channel;
    const act* lower = upper + (u64)width * channels;
    return (upper[0] + upper[channels]) + (lower[0] + lower[channels]);
  }
};

KERNEL(THREADS) subsample2d_forward(Subsample size, const act* x, const float* weight, const float* bias, act* y,
                                    u32 len) {
  u64 element = ELEMENT;
  if (element >= len) return;
  PlaneElement at((u32)element, size.channels, size.out_height, size.out_width);
  float sum = size.window(x, at.n, at.row, at.column, at.channel);
  y[element] = fmaf(weight[at.channel], sum, bias[at.channel]);
}

KERNEL(THREADS) subsample2d_backward_input(Subsample size, const float* weight, const act* d_y, act* d_x, u32 len) {
  u64 element = ELEMENT;
  if (element >= len) return;
  PlaneElement at((u32)element, size.channels, size.height, size.width);
  u32 i = at.row / 2, j = at.column / 2;
  bool inside = i < size.out_height && j < size.out_width;
  d_x[element] = inside ? weight[at.channel] * d_y[size.output(at.n, i, j, at.channel)] : 0.0f;
}

// First stage: sums of d_y, and of d_y times its window's sum, over `part` of the `places` windows that a channel has in
// all samples. A block has a tile of channels and as many windows at once as fill it; a thread keeps to its channel.
// `sums` has a row for each channel, then one for each again, with a column a part.
KERNEL(THREADS) subsample2d_sums(Subsample size, const act* x, const act* d_y, float* sums, u32 places, u32 part) {
  __shared__ float d_bias[THREADS], d_weight[THREADS];
  u32 tile = min(size.channels, (u32)THREADS), lines = THREADS / tile;
  u32 line = threadIdx.x / tile, channel = blockIdx.x * tile + threadIdx.x % tile;
  u32 first = blockIdx.y * part, end = first + min(places - first, part);
  float of_bias = 0.0f, of_weight = 0.0f;
  if (line < lines && channel < size.channels)
    for (u32 place = first + line; place < end; place += lines) {
      PlaneElement at(place, 1, size.out_height, size.out_width);
      float d = d_y[(u64)place * size.channels + channel];
      of_bias += d;
      of_weight = fmaf(d, size.window(x, at.n, at.row, at.column, channel), of_weight);
    }
  d_bias[threadIdx.x] = of_bias;
  d_weight[threadIdx.x] = of_weight;
  __syncthreads();
  for (u32 half = THREADS / 2; half > 0; half /= 2) {
    if (line < half && line + half < lines) {
      d_bias[threadIdx.x] += d_bias[threadIdx.x + half * tile];
      d_weight[threadIdx.x] += d_weight[threadIdx.x + half * tile];
    }
    __syncthreads();
  }
  if (line > 0 || channel >= size.channels) return;
  sums[(u64)channel * gridDim.y + blockIdx.y] = d_bias[threadIdx.x];
  sums[((u64)size.channels + channel) * gridDim.y + blockIdx.y] = d_weight[threadIdx.x];
}

// Second stage: a block adds the parts of one channel, at most one a thread.
KERNEL(THREADS) subsample2d_total(u32 channels, u32 parts, const float* sums, float* d_weight, float* d_bias) {
  __shared__ float shared[THREADS];
  u32 row = blockIdx.x;
  float value = threadIdx.x < parts ? sums[(u64)row * parts + threadIdx.x] : 0.0f;
  float sum = block_sum(value, shared);
  if (threadIdx.x > 0) return;
  if (row < channels)
    d_bias[row] = sum;
  else
    d_weight[row - channels] = sum;
}
