// Products of matrices whose elements functors find: C(row, column) = sum over k of A(row, k) * B(k, column), k upwards,
// one fmaf each. A block of THREADS threads has a tile of TILE x TILE, 4 x 4 a thread.
//
// A functor has `float operator()(u32 i, u32 k)`, i being the row of A or the column of B, called with any i and k below
// the next multiple of the tile's sides: it gives 0 outside. Its `K_IS_NEAR` says whether neighbouring k lie next to
// each other in memory, or else neighbouring i do; neighbouring threads load those.

#define TILE 64
#define TILE_K 16

template <class F>
__device__ void load_tile(const F& f, u32 first, u32 k_first, float (*tile)[TILE + 4]) {
  for (u32 load = threadIdx.x; load < TILE * TILE_K; load += THREADS) {
    u32 i = F::K_IS_NEAR ? load / TILE_K : load % TILE;
    u32 k = F::K_IS_NEAR ? load % TILE_K : load / TILE;
    tile[k][i] = f(first + i, k_first + k);
  }
}

// k from `from` to below `to`; `store(row, column, sum)` is called for the whole tile at (first_row, first_column).
template <class A, class B, class Store>
__device__ void product_tile(u32 first_row, u32 first_column, u32 from, u32 to, const A& a, const B& b,
                             const Store& store) {
  __shared__ float rows[TILE_K][TILE + 4];
  __shared__ float columns[TILE_K][TILE + 4];
  u32 row = threadIdx.x / 16 * 4, column = threadIdx.x % 16 * 4;
  float sums[4][4] = {};
  for (u32 k_first = from; k_first < to; k_first += TILE_K) {
    load_tile(a, first_row, k_first, rows);
    load_tile(b, first_column, k_first, columns);
    __syncthreads();
    u32 terms = min(to - k_first, (u32)TILE_K);
    for (u32 k = 0; k < terms; k++) {
      float x[4], y[4];
#pragma unroll
      for (int i = 0; i < 4; i++) x[i] = rows[k][row + i];
#pragma unroll
      for (int j = 0; j < 4; j++) y[j] = columns[k][column + j];
#pragma unroll
      for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) sums[i][j] = fmaf(x[i], y[j], sums[i][j]);
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < 4; i++)
#pragma unroll
    for (int j = 0; j < 4; j++) store(first_row + row + i, first_column + column + j, sums[i][j]);
}
