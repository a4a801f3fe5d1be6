// Sums of vectors, and squared norms of parts of a vector: of their blocks, then of all blocks of each part.

KERNEL(THREADS) fold_add(float* sum, const float* value, u32 len) {
  u64 i = ELEMENT;
  if (i < len) sum[i] += value[i];
}

// Threads that sum a block.
#define LANES 16

// Sum of squares of each block in f64: number i goes to sum i mod 16, and the 16 sums are added by halves: 8 apart, then
// 4, 2 and 1. A square of an f32 is exact in f64. `ranges` has each block's first element and its end.
KERNEL(THREADS) fold_squared_block_norms(const float* x, const u32* ranges, double* sums, u32 blocks) {
  u64 block = ELEMENT / LANES;
  u32 lane = threadIdx.x % LANES;
  bool is_block = block < blocks;
  u64 start = is_block ? ranges[2 * block] : 0, end = is_block ? ranges[2 * block + 1] : 0;
  double sum = 0.0;
#pragma unroll 8
  for (u64 i = start + lane; i < end; i += LANES) sum += (double)x[i] * x[i];
  for (u32 distance = LANES / 2; distance > 0; distance /= 2) sum += __shfl_xor_sync(~0u, sum, distance);
  if (lane == 0 && is_block) sums[block] = sum;
}

// A block of threads has a part and adds the sums of the part's blocks, which begin at `firsts[part]`, in their order.
KERNEL(THREADS) fold_squared_norms(const double* sums, const u32* firsts, double* norms) {
  __shared__ double tile[THREADS];
  u32 first = firsts[blockIdx.x], end = firsts[blockIdx.x + 1];
  double norm = ordered_sum(sums + first, end - first, tile);
  if (threadIdx.x == 0) norms[blockIdx.x] = norm;
}
