// Squared norms of blocks.

// Elements of a block, and threads that sum them.
#define BLOCK 4096
#define LANES 16

// Sum of squares of each block in f64: number i goes to sum i mod 16, and the 16 sums are added by halves: 8 apart, then
// 4, 2 and 1. A square of an f32 is exact in f64.
KERNEL(THREADS) fold_squared_block_norms(const float* x, double* sums, u32 len) {
  u64 block = ELEMENT / LANES;
  u32 lane = threadIdx.x % LANES;
  u64 end = min((block + 1) * BLOCK, (u64)len);
  double sum = 0.0;
#pragma unroll 8
  for (u64 i = block * BLOCK + lane; i < end; i += LANES) sum += (double)x[i] * x[i];
  for (u32 distance = LANES / 2; distance > 0; distance /= 2) sum += __shfl_xor_sync(~0u, sum, distance);
  if (lane == 0 && block * BLOCK < len) sums[block] = sum;
}
