// Products of matrices whose elements are found when they are needed: C(row, column) = sum over k of A(row, k) *
// B(k, column), k upwards, one fmaf each, whatever the shape of the tiles. A block of THREADS threads has a tile.
//
// A matrix is a class with
//   Across across(u32 i)          what is to be known of row i of A, or of column i of B: found once;
//   Along along(u32 k)            what is to be known of term k;
//   float at(Across, Along)       the element, 0 where there is none: i and k go on to the tile's border;
//   static const bool K_IS_NEAR   whether neighbouring k lie next to each other in memory, or else neighbouring i do:
//                                 neighbouring threads load those.

#define TILE_K 16

// The shape of a tile: 4 x 4 elements a thread.
template <u32 WIDTH>
struct Tile {
  static const u32 COLUMNS = WIDTH, ROWS = 16 * THREADS / WIDTH;
};
typedef Tile<64> Square;
// For few columns.
typedef Tile<16> Narrow;

// Row i has values[i * width + k], k < columns.
template <class Value>
struct Plain {
  static const bool K_IS_NEAR = true;
  typedef const Value* Across;
  typedef u32 Along;

  const Value* values;
  u32 rows, columns, width;

  __device__ const Value* across(u32 i) const { return i < rows ? values + (u64)i * width : nullptr; }
  __device__ u32 along(u32 k) const { return k; }
  __device__ float at(const Value* row, u32 k) const { return row && k < columns ? row[k] : 0.0f; }
};

// A matrix whose rows go by k.
template <class Matrix>
struct Turned {
  static const bool K_IS_NEAR = !Matrix::K_IS_NEAR;
  typedef typename Matrix::Along Across;
  typedef typename Matrix::Across Along;

  Matrix matrix;

  __device__ Across across(u32 i) const { return matrix.along(i); }
  __device__ Along along(u32 k) const { return matrix.across(k); }
  __device__ float at(const Across& across, const Along& along) const { return matrix.at(along, across); }
};

// A thread's share of one operand's tiles, SIDE x TILE_K each. It waits in registers while the tile before is used.
template <class Matrix, u32 SIDE>
struct Loader {
  static const u32 LOADS = SIDE * TILE_K / THREADS;
  // All loads of a thread are of one k, or else of one i.
  static const u32 KNOWN = Matrix::K_IS_NEAR ? LOADS : 1;

  const Matrix& matrix;
  typename Matrix::Across across[KNOWN];
  float values[LOADS];

  __device__ static u32 i(u32 load) {
    return Matrix::K_IS_NEAR ? threadIdx.x / TILE_K + load * (THREADS / TILE_K) : threadIdx.x % SIDE;
  }
  __device__ static u32 k(u32 load) {
    return Matrix::K_IS_NEAR ? threadIdx.x % TILE_K : threadIdx.x / SIDE + load * (THREADS / SIDE);
  }

  __device__ Loader(const Matrix& matrix, u32 first) : matrix(matrix) {
#pragma unroll
    for (u32 load = 0; load < KNOWN; load++) across[load] = matrix.across(first + i(load));
  }
  __device__ void fetch(u32 k_first) {
    typename Matrix::Along along = matrix.along(k_first + k(0));
#pragma unroll
    for (u32 load = 0; load < LOADS; load++) {
      if (!Matrix::K_IS_NEAR && load > 0) along = matrix.along(k_first + k(load));
      values[load] = matrix.at(across[load % KNOWN], along);
    }
  }
  __device__ void put(float4 (*tile)[SIDE / 4 + 1]) const {
#pragma unroll
    for (u32 load = 0; load < LOADS; load++) ((float*)tile[k(load)])[i(load)] = values[load];
  }
};

// k from `from` to below `to`, where the matrices end or a multiple of TILE_K further on. `store(row, column, sums)` is
// called for the whole tile at (first_row, first_column), with the sums of four columns from `column` on.
template <class T, class A, class B, class Store>
__device__ void product_tile(u32 first_row, u32 first_column, u32 from, u32 to, const A& a, const B& b,
                             const Store& store) {
  __shared__ float4 rows[TILE_K][T::ROWS / 4 + 1];
  __shared__ float4 columns[TILE_K][T::COLUMNS / 4 + 1];
  u32 row = threadIdx.x / (T::COLUMNS / 4), column = threadIdx.x % (T::COLUMNS / 4);
  Loader<A, T::ROWS> of_a(a, first_row);
  Loader<B, T::COLUMNS> of_b(b, first_column);
  float sums[4][4] = {};
  of_a.fetch(from);
  of_b.fetch(from);
  for (u32 k_first = from; k_first < to; k_first += TILE_K) {
    of_a.put(rows);
    of_b.put(columns);
    __syncthreads();
    if (k_first + TILE_K < to) {
      of_a.fetch(k_first + TILE_K);
      of_b.fetch(k_first + TILE_K);
    }
#pragma unroll
    for (u32 k = 0; k < TILE_K; k++) {
      float4 x = rows[k][row], y = columns[k][column];
      const float xs[4] = {x.x, x.y, x.z, x.w}, ys[4] = {y.x, y.y, y.z, y.w};
#pragma unroll
      for (u32 i = 0; i < 4; i++)
#pragma unroll
        for (u32 j = 0; j < 4; j++) sums[i][j] = fmaf(xs[i], ys[j], sums[i][j]);
    }
    __syncthreads();
  }
#pragma unroll
  for (u32 i = 0; i < 4; i++) store(first_row + 4 * row + i, first_column + 4 * column, sums[i]);
}
