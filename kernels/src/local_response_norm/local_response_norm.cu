// Local response normalisation: a thread an element. Channels are near: an element's neighbours lie around it.

// `below` and `above`: most channels below and above a channel that it is divided by.
struct LocalResponse {
  u32 channels, below, above;
};

// x^exponent for positive x; the exponent of the paper by roots.
__device__ float power(float x, float exponent) {
  if (exponent != 0.75f) return powf(x, exponent);
  float root = sqrtf(x);
  return root * sqrtf(root);
}

// D = k + scale * sum of x^2 over an element's neighbours, channels upwards.
__device__ float divisor(const LocalResponse& size, float scale, float k, const act* x, u64 element) {
  u32 channel = (u32)element % size.channels;
  const act* own = x + element;
  const act* end = own + min(size.channels - 1 - channel, size.above) + 1;
  float squares = 0.0f;
  for (const act* other = own - min(channel, size.below); other < end; other++) squares = fmaf(*other, *other, squares);
  return fmaf(scale, squares, k);
}

KERNEL(THREADS) local_response_norm_forward(LocalResponse size, float scale, float beta, float k, const act* x, act* y,
                                            u32 len) {
  u64 element = ELEMENT;
  if (element >= len) return;
  y[element] = x[element] / power(divisor(size, scale, k, x, element), beta);
}

// d_x = direct + factor * x * sum of the shares of the channels that it counts for: direct = d_y / D^beta, and
// share = direct * x / D. The block computes all shares around its elements once, THREADS at a time.
KERNEL(THREADS) local_response_norm_backward(LocalResponse size, float scale, float beta, float k, float factor,
                                             const act* x, const act* d_y, act* d_x, u32 len) {
  __shared__ float directs[THREADS], shares[THREADS];
  u64 block = blockIdx.x * (u64)THREADS, element = block + threadIdx.x;
  bool inside = element < len;
  u32 channel = (u32)element % size.channels;
  // Elements that this one counts for.
  u64 first = element - min(channel, size.above), end = element + min(size.channels - 1 - channel, size.below) + 1;
  u64 tile_end = min((u64)len, block + THREADS + size.below);
  float direct = 0.0f, sum = 0.0f;
  for (u64 tile = block - min(block, (u64)size.above); tile < tile_end; tile += THREADS) {
    u64 other = tile + threadIdx.x;
    if (other < tile_end) {
      float d = divisor(size, scale, k, x, other);
      directs[threadIdx.x] = d_y[other] / power(d, beta);
      shares[threadIdx.x] = directs[threadIdx.x] * x[other] / d;
    }
    __syncthreads();
    if (inside) {
      u64 stop = min(end, tile + THREADS);
      for (u64 i = max(first, tile); i < stop; i++) sum += shares[i - tile];
      if (tile <= element && element < tile + THREADS) direct = directs[element - tile];
    }
    __syncthreads();
  }
  if (inside) d_x[element] = fmaf(factor * x[element], sum, direct);
}
