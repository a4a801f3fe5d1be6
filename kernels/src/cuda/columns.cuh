// Matrices of rows and channels, one behind the other, by columns: neighbouring threads have neighbouring channels, and
// a thread stays with its channel. A block of THREADS threads is `width` channels wide and THREADS / width rows high,
// and goes through one part of a matrix's rows.
//
// Sums of a channel are float over the few rows that a thread holds at once, double beyond; threads of a block by a
// tree, then parts in order. cuda/columns.rs cuts the rows.

// Rows that a thread holds at once.
#define CHUNK_ROWS 8
// Channels of a block that adds up parts.
#define TOTALS_WIDTH 8

struct Columns {
  // Of one matrix.
  u32 rows, channels;
  // Of a block: channels, a power of two.
  u32 width;
  // Of a matrix's rows; all but the last have `rows_of_part` rows.
  u32 parts, rows_of_part;

  __device__ u32 matrix() const { return blockIdx.x / parts; }
  __device__ u32 channel() const { return blockIdx.y * width + threadIdx.x % width; }
  __device__ bool has_channel() const { return channel() < channels; }
  // Elements from one row of a thread to its next.
  __device__ u64 stride() const { return (u64)(THREADS / width) * channels; }

  // Calls `f(at, count)` for all rows of the thread, at most CHUNK_ROWS at once: `count` elements, of which `at` is the
  // first and the others lie `stride()` apart.
  template <class F>
  __device__ __forceinline__ void chunks(const F& f) const {
    if (!has_channel()) return;
    u32 height = THREADS / width;
    u32 from = blockIdx.x % parts * rows_of_part;
    u32 to = min(rows, from + rows_of_part);
    for (u32 row = from + threadIdx.x / width; row < to; row += CHUNK_ROWS * height) {
      u32 count = min((to - row - 1) / height + 1, (u32)CHUNK_ROWS);
      f(((u64)matrix() * rows + row) * channels + channel(), count);
    }
  }
};

// A chunk's values, and zeros behind its end.
__device__ __forceinline__ void load_chunk(const act* x, u64 at, u64 stride, u32 count, float (&values)[CHUNK_ROWS]) {
#pragma unroll
  for (u32 i = 0; i < CHUNK_ROWS; i++) values[i] = i < count ? x[at + i * stride] : 0.0f;
}

struct ColumnSums {
  double first, second;
};

// This thread's part of the sums of x - x[origin] and of its square. A chunk's values are taken relative to its first,
// so that little is rounded however large the mean is.
__device__ __forceinline__ ColumnSums deviation_sums(const Columns& columns, const act* x, u64 origin) {
  ColumnSums sums = {0.0, 0.0};
  columns.chunks([&](u64 at, u32 count) {
    float values[CHUNK_ROWS];
    load_chunk(x, at, columns.stride(), count, values);
    float sum = 0.0f, squares = 0.0f;
#pragma unroll
    for (u32 i = 1; i < CHUNK_ROWS; i++) {
      float d = i < count ? values[i] - values[0] : 0.0f;
      sum += d;
      squares = fmaf(d, d, squares);
    }
    // With a = values[0] - x[origin]: sum of (a + d), sum of (a + d)^2.
    double a = (double)values[0] - (double)x[origin];
    sums.first += sum + count * a;
    sums.second += squares + a * (2.0 * sum + count * a);
  });
  return sums;
}

struct ColumnMoments {
  double mean, variance;
};

// Of n numbers, by what deviation_sums gives of them; the variance is the biased one.
__device__ ColumnMoments moments_of(float origin, const ColumnSums& sums, double n) {
  double rest = sums.first / n;
  double variance = (sums.second - sums.first * rest) / n;
  // A rounding error may leave it just below 0; a NaN stays.
  return ColumnMoments{origin + rest, variance < 0.0 ? 0.0 : variance};
}

// Sum over the rows of a block `width` channels wide, the same for all threads of a channel.
__device__ double column_sum(double value, double* shared, u32 width) {
  shared[threadIdx.x] = value;
  __syncthreads();
  for (u32 half = THREADS / 2; half >= width; half /= 2) {
    if (threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
    __syncthreads();
  }
  double sum = shared[threadIdx.x % width];
  __syncthreads();
  return sum;
}

__device__ ColumnSums column_sums(const ColumnSums& sums, u32 width) {
  __shared__ double shared[THREADS];
  double first = column_sum(sums.first, shared, width);
  return ColumnSums{first, column_sum(sums.second, shared, width)};
}

// Adds up the threads of a block; `partials` are [matrix][part][2][channel].
__device__ void store_partials(const Columns& columns, const ColumnSums& sums, double* partials) {
  ColumnSums of_block = column_sums(sums, columns.width);
  if (threadIdx.x >= columns.width || !columns.has_channel()) return;
  double* to = partials + (u64)2 * blockIdx.x * columns.channels + columns.channel();
  to[0] = of_block.first;
  to[columns.channels] = of_block.second;
}

// Channel of a thread of a block that adds up parts.
__device__ u32 total_channel() { return blockIdx.x * TOTALS_WIDTH + threadIdx.x % TOTALS_WIDTH; }

// A channel's sums over all parts of all matrices.
__device__ ColumnSums total_of_parts(const double* partials, u32 parts, u32 channels) {
  ColumnSums sums = {0.0, 0.0};
  if (total_channel() < channels) {
    for (u32 part = threadIdx.x / TOTALS_WIDTH; part < parts; part += THREADS / TOTALS_WIDTH) {
      const double* from = partials + (u64)2 * part * channels + total_channel();
      sums.first += from[0];
      sums.second += from[channels];
    }
  }
  return column_sums(sums, TOTALS_WIDTH);
}

// Whether the thread is the one of its channel that stores what came of the parts.
__device__ bool stores_total(u32 channels) { return threadIdx.x < TOTALS_WIDTH && total_channel() < channels; }
