// The convolution as products of matrices that are never stored. A place (n, i, j) is a row of x, its window; a term is
// (u, v, c), an element of the kernel and a channel of a group, channels nearest. Weights are turned first, to
// [u][v][c][o], so that neighbours are channels in all three arrays.

// Words of Conv2dSize::argument.
struct Conv2d {
  u32 in_channels, out_channels, groups;
  // Of a group.
  u32 inputs, outputs;
  u32 height, width, out_height, out_width;
  u32 kernel, stride, padding, dilation;
  // An input pixel meets the kernel's elements first, first + every, ... along an axis, each one `back` windows before
  // the last: every = stride / gcd(stride, dilation), back = dilation / gcd(stride, dilation).
  u32 every, back;

  // Of a group's outputs.
  __device__ u32 terms() const { return kernel * kernel * inputs; }
};

// Division of numbers below 2^31 by a multiplication (Granlund & Montgomery 1994).
struct Divisor {
  u32 by, factor, shift;
  __device__ u32 quotient(u32 number) const { return (__umulhi(number, factor) + number) >> shift; }
};

struct Place {
  u32 sample, row, column;
};

// The places (n, i, j) of an array, and the divisor that tells a term's channel.
struct Index {
  u32 places;
  Divisor height, width, channels;

  __device__ Place place(u32 index) const {
    u32 line = width.quotient(index), sample = height.quotient(line);
    return {sample, line - sample * height.by, index - line * width.by};
  }
};

// Values from a group's first channel on; `channels` of all groups.
struct Image {
  const act* values;
  u32 height, width, channels;
};

// Along one axis, the window at place i begins at pixel first + i * stride, and element u lies at u * step from there.
struct Axis {
  int first;
  u32 elements;
};

// What lies under element (u, v), channel c, of the window at a place: 0 outside of the image.
struct Windows {
  static const bool K_IS_NEAR = true;
  struct Across {
    int row, column;
    u32 pixel;
  };
  struct Along {
    int row, column;
    u32 pixel, channel;
  };
  // Far from every image, also when added to another.
  static const int NOWHERE = -(1 << 30);

  Image image;
  Index index;
  Axis rows, columns;
  int stride, step;

  __device__ u32 terms() const { return rows.elements * columns.elements * index.channels.by; }

  __device__ Across across(u32 i) const {
    if (i >= index.places) return {NOWHERE, NOWHERE, 0};
    Place place = index.place(i);
    int row = rows.first + (int)place.row * stride, column = columns.first + (int)place.column * stride;
    return {row, column, (place.sample * image.height + row) * image.width + column};
  }
  __device__ Along along(u32 k) const {
    if (k >= terms()) return {NOWHERE, NOWHERE, 0, 0};
    u32 element = index.channels.quotient(k), u = element / columns.elements;
    int row = (int)u * step, column = (int)(element - u * columns.elements) * step;
    return {row, column, row * image.width + column, k - element * index.channels.by};
  }
  // Pixels are counted modulo 2^32: one on its own may lie before the first.
  __device__ float at(const Across& window, const Along& term) const {
    bool inside = (u32)(window.row + term.row) < image.height && (u32)(window.column + term.column) < image.width;
    return inside ? image.values[(u64)(window.pixel + term.pixel) * image.channels + term.channel] : 0.0f;
  }
};

__device__ Windows windows_of_x(const Conv2d& size, const Index& index, const act* x, u32 group) {
  Axis axis{-(int)size.padding, size.kernel};
  Image image{x + group * size.inputs, size.height, size.width, size.in_channels};
  return {image, index, axis, axis, (int)size.stride, (int)size.dilation};
}

// A block's tile, and of which one of several matrices. A matrix' tiles follow each other row by row: those of a row
// read the same windows.
template <class T>
struct Block {
  u32 row, column, matrix;

  __device__ Block(u32 rows, u32 columns) {
    u32 across = (columns + T::COLUMNS - 1) / T::COLUMNS, down = (rows + T::ROWS - 1) / T::ROWS;
    column = blockIdx.x % across * T::COLUMNS;
    row = blockIdx.x / across % down * T::ROWS;
    matrix = blockIdx.x / across / down;
  }
};

// [o][c][u][v] to [u][v][c][o]; a block turns 32 x 32.
KERNEL(THREADS) conv2d_turn_weight(Conv2d size, const float* weight, float* turned) {
  __shared__ float tile[WARP][WARP + 1];
  u32 elements = size.kernel * size.kernel, terms = size.terms();
  u32 first_term = blockIdx.x * WARP, first_o = blockIdx.y * WARP;
  u32 near = threadIdx.x % WARP;
  for (u32 far = threadIdx.x / WARP; far < WARP; far += THREADS / WARP) {
    u32 o = first_o + far, term = first_term + near;
    if (o < size.out_channels && term < terms) tile[far][near] = weight[(u64)o * terms + term];
  }
  __syncthreads();
  for (u32 far = threadIdx.x / WARP; far < WARP; far += THREADS / WARP) {
    u32 o = first_o + near, term = first_term + far;
    u32 row = term % elements * size.inputs + term / elements;
    if (o < size.out_channels && term < terms) turned[(u64)row * size.out_channels + o] = tile[near][far];
  }
}

struct StoreOutputs {
  u32 places, outputs, channels;
  const float* bias;
  act* y;
  __device__ void operator()(u32 place, u32 first, const float (&sums)[4]) const {
    if (place >= places) return;
#pragma unroll
    for (u32 o = first; o < first + 4; o++)
      if (o < outputs) y[(u64)place * channels + o] = sums[o - first] + (bias ? bias[o] : 0.0f);
  }
};

// A tile of y: rows are its places, columns a group's outputs.
template <class T>
__device__ void forward(const Conv2d& size, const Index& index, const act* x, const float* turned, const float* bias,
                        act* y) {
  Block<T> block(index.places, size.outputs);
  u32 first = block.matrix * size.outputs;
  Windows windows = windows_of_x(size, index, x, block.matrix);
  Turned<Plain<float>> weight{{turned + first, size.terms(), size.outputs, size.out_channels}};
  StoreOutputs store{index.places, size.outputs, size.out_channels, bias ? bias + first : nullptr, y + first};
  product_tile<T>(block.row, block.column, 0, size.terms(), windows, weight, store);
}

KERNEL(THREADS) conv2d_forward_square(Conv2d size, Index index, const act* x, const float* turned, const float* bias,
                                      act* y) {
  forward<Square>(size, index, x, turned, bias, y);
}

KERNEL(THREADS) conv2d_forward_narrow(Conv2d size, Index index, const act* x, const float* turned, const float* bias,
                                      act* y) {
  forward<Narrow>(size, index, x, turned, bias, y);
}

// Input pixels that leave the same remainder, `phase`, by the stride meet the same elements of the kernel. Pixel
// phase + i * stride has the first of them in output i + window.
struct Phase {
  u32 first, elements;
  int window;

  __device__ Phase(const Conv2d& size, u32 phase) : first(0) {
    while (first < size.kernel && first * size.dilation % size.stride != (phase + size.padding) % size.stride) first++;
    elements = (size.kernel - first + size.every - 1) / size.every;
    window = ((int)(phase + size.padding) - (int)(first * size.dilation)) / (int)size.stride;
  }
};

// w(c, (u, v, o)), of the kernel's elements that pixels of a phase meet.
struct WeightOfPhase {
  static const bool K_IS_NEAR = true;
  typedef u32 Across;
  typedef const float* Along;

  Conv2d size;
  const float* turned;
  Phase rows, columns;
  Divisor outputs;

  __device__ u32 across(u32 c) const { return c; }
  __device__ const float* along(u32 k) const {
    if (k >= rows.elements * columns.elements * outputs.by) return nullptr;
    u32 element = outputs.quotient(k), row = element / columns.elements;
    u32 u = rows.first + row * size.every, v = columns.first + (element - row * columns.elements) * size.every;
    return turned + (u64)(u * size.kernel + v) * size.inputs * size.out_channels + (k - element * outputs.by);
  }
  __device__ float at(u32 c, const float* term) const {
    return term && c < size.inputs ? term[(u64)c * size.out_channels] : 0.0f;
  }
};

struct StoreInputs {
  Conv2d size;
  Index index;
  u32 row_phase, column_phase, add;
  act* d_x;

  __device__ void operator()(u32 i, u32 first, const float (&sums)[4]) const {
    if (i >= index.places) return;
    Place place = index.place(i);
    u32 row = place.row * size.stride + row_phase, column = place.column * size.stride + column_phase;
    if (row >= size.height || column >= size.width) return;
    u32 pixel = (place.sample * size.height + row) * size.width + column;
    act* to = d_x + (u64)pixel * size.in_channels;
#pragma unroll
    for (u32 c = first; c < first + 4; c++)
      if (c < size.inputs) to[c] = add ? to[c] + sums[c - first] : sums[c - first];
  }
};

// A tile of one phase of d_x: rows are its places (n, i, j), pixel (row_phase + i * stride, column_phase + j * stride),
// columns a group's inputs, terms (u, v, o). In d_y it is a convolution of stride 1 whose elements go backwards.
template <class T>
__device__ void backward_input(const Conv2d& size, const Index& index, const float* turned, const act* d_y, act* d_x,
                               u32 add) {
  Block<T> block(index.places, size.inputs);
  u32 group = block.matrix % size.groups, phase = block.matrix / size.groups;
  u32 row_phase = phase / min(size.stride, size.width), column_phase = phase % min(size.stride, size.width);
  Phase rows(size, row_phase), columns(size, column_phase);
  Image image{d_y + group * size.outputs, size.out_height, size.out_width, size.out_channels};
  Windows windows{image, index, {rows.window, rows.elements}, {columns.window, columns.elements}, 1, -(int)size.back};
  WeightOfPhase weight{size, turned + group * size.outputs, rows, columns, index.channels};
  StoreInputs store{size, index, row_phase, column_phase, add, d_x + group * size.inputs};
  product_tile<T>(block.row, block.column, 0, windows.terms(), windows, weight, store);
}

KERNEL(THREADS) conv2d_backward_input_square(Conv2d size, Index index, const float* turned, const act* d_y, act* d_x,
                                             u32 add) {
  backward_input<Square>(size, index, turned, d_y, d_x, add);
}

KERNEL(THREADS) conv2d_backward_input_narrow(Conv2d size, Index index, const float* turned, const act* d_y, act* d_x,
                                             u32 add) {
  backward_input<Narrow>(size, index, turned, d_y, d_x, add);
}

// To [o][c][u][v].
struct StoreWeight {
  Conv2d size;
  float* d_weight;

  __device__ void operator()(u32 row, u32 first, const float (&sums)[4]) const {
    if (row >= size.terms()) return;
    float* to = d_weight + row % size.inputs * size.kernel * size.kernel + row / size.inputs;
#pragma unroll
    for (u32 o = first; o < first + 4; o++)
      if (o < size.outputs) to[(u64)o * size.terms()] = sums[o - first];
  }
};

// A tile of one part of d_weight: rows are (u, v, c), columns a group's outputs, terms `length` places of y; part after
// part in `d_weight`.
template <class T>
__device__ void backward_weight(const Conv2d& size, const Index& index, u32 length, const act* x, const act* d_y,
                                float* d_weight) {
  Block<T> block(size.terms(), size.outputs);
  u32 group = block.matrix % size.groups, part = block.matrix / size.groups, first = group * size.outputs;
  u32 from = part * length, to = min(index.places, from + length);
  Turned<Windows> windows{windows_of_x(size, index, x, group)};
  Turned<Plain<act>> behind{{d_y + first, index.places, size.outputs, size.out_channels}};
  StoreWeight store{size, d_weight + (u64)(part * size.out_channels + first) * size.terms()};
  product_tile<T>(block.row, block.column, from, to, windows, behind, store);
}

KERNEL(THREADS) conv2d_backward_weight_square(Conv2d size, Index index, u32 length, const act* x, const act* d_y,
                                              float* d_weight) {
  backward_weight<Square>(size, index, length, x, d_y, d_weight);
}

KERNEL(THREADS) conv2d_backward_weight_narrow(Conv2d size, Index index, u32 length, const act* x, const act* d_y,
                                              float* d_weight) {
  backward_weight<Narrow>(size, index, length, x, d_y, d_weight);
}

// Sums of the columns of a matrix that lies row by row, one for each part of `length` rows: sums(part, column). A
// column has `lanes` threads, each with every lanes-th row; then come the lanes in their order.
template <class Value>
__device__ void column_sums(u32 rows, u32 columns, u32 length, u32 lanes, const Value* matrix, float* sums) {
  __shared__ float shared[THREADS];
  u32 wide = THREADS / lanes, lane = threadIdx.x / wide;
  u32 column = blockIdx.x * wide + threadIdx.x % wide;
  u32 first = blockIdx.y * length, end = min(rows, first + length);
  float sum = 0.0f;
  if (column < columns) {
#pragma unroll 4
    for (u32 row = first + lane; row < end; row += lanes) sum += matrix[(u64)row * columns + column];
  }
  shared[threadIdx.x] = sum;
  __syncthreads();
  if (lane > 0 || column >= columns) return;
  for (u32 other = 1; other < lanes; other++) sum += shared[other * wide + threadIdx.x];
  sums[(u64)blockIdx.y * columns + column] = sum;
}

// Of an activation's places.
KERNEL(THREADS) conv2d_sum_places(u32 rows, u32 columns, u32 length, u32 lanes, const act* matrix, float* sums) {
  column_sums(rows, columns, length, lanes, matrix, sums);
}

// Of parts of sums.
KERNEL(THREADS) conv2d_sum_parts(u32 rows, u32 columns, u32 length, u32 lanes, const float* matrix, float* sums) {
  column_sums(rows, columns, length, lanes, matrix, sums);
}
