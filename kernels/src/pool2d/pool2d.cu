// Poolings: a thread an element of what is written, in backward passes too. An input's element then gathers from the
// windows or cells that it lies in, row by row, so that it is written once and no two threads add to it.

struct Pool {
  u32 channels, height, width, window, stride, padding, out_height, out_width;

  // Where an output lies.
  __device__ u64 output(u32 n, u32 i, u32 j, u32 channel) const {
    return (((u64)n * out_height + i) * out_width + j) * channels + channel;
  }
};

// From `first` to below `end`.
struct Range {
  u32 first, end;
};

// Calls `use(place in the window, whether it lies in the input, its value or else 0)` for the places of an output's
// window, row by row. WINDOW is the window's side as a constant, or 0.
template <u32 WINDOW, class Use>
__device__ void walk_window(const Pool& size, const PlaneElement& y, const act* x, const Use& use) {
  const u32 window = WINDOW > 0 ? WINDOW : size.window;
  const act* plane = x + (u64)y.n * size.height * size.width * size.channels + y.channel;
  // Above the first row and before the first column these wrap around to numbers beyond the last.
  u32 top = y.row * size.stride - size.padding, left = y.column * size.stride - size.padding;
  for (u32 u = 0; u < window; u++)
    for (u32 v = 0; v < window; v++) {
      u32 row = top + u, column = left + v;
      bool inside = row < size.height && column < size.width;
      u64 offset = ((u64)row * size.width + column) * size.channels;
      use(u * window + v, inside, inside ? plane[offset] : 0.0f);
    }
}

// The same, unrolled for the windows that nearly all poolings have.
template <class Use>
__device__ void each_of_window(const Pool& size, const PlaneElement& y, const act* x, const Use& use) {
  switch (size.window) {
    case 2: return walk_window<2>(size, y, x, use);
    case 3: return walk_window<3>(size, y, x, use);
    default: return walk_window<0>(size, y, x, use);
  }
}

// The largest value so far and its place: the first of equal ones; a NaN beats a number and nothing beats a NaN.
struct Largest {
  float value;
  u32 place;
  bool found;

  // Without a branch, so that no load waits for what was loaded before.
  __device__ void offer(u32 candidate_place, bool inside, float candidate) {
    bool wins = inside && (!found || !(candidate <= value || value != value));
    value = wins ? candidate : value;
    place = wins ? candidate_place : place;
    found = found || inside;
  }
};

KERNEL(THREADS) max_pool2d_forward(Pool size, const act* x, act* y, u8* choice, u32 len) {
  u64 element = ELEMENT;
  if (element >= len) return;
  PlaneElement at((u32)element, size.channels, size.out_height, size.out_width);
  Largest largest = {0.0f, 0, false};
  each_of_window(size, at, x, [&](u32 place, bool inside, float value) { largest.offer(place, inside, value); });
  y[element] = largest.value;
  choice[element] = (u8)largest.place;
}

KERNEL(THREADS) average_pool2d_forward(Pool size, const act* x, act* y, u32 len) {
  u64 element = ELEMENT;
  if (element >= len) return;
  PlaneElement at((u32)element, size.channels, size.out_height, size.out_width);
  float sum = 0.0f;
  each_of_window(size, at, x, [&](u32, bool, float value) { sum += value; });
  y[element] = sum / (float)(size.window * size.window);
}

// The windows of `count` that a row (or column) of the input lies in.
__device__ Range windows_around(const Pool& size, u32 row, u32 count) {
  u32 padded = row + size.padding;
  u32 first = padded < size.window ? 0 : (padded - size.window) / size.stride + 1;
  return Range{first, min(padded / size.stride + 1, count)};
}

KERNEL(THREADS) max_pool2d_backward(Pool size, const act* d_y, const u8* choice, act* d_x, u32 len) {
  u64 element = ELEMENT;
  if (element >= len) return;
  PlaneElement at((u32)element, size.channels, size.height, size.width);
  Range rows = windows_around(size, at.row, size.out_height);
  Range columns = windows_around(size, at.column, size.out_width);
  float sum = 0.0f;
  for (u32 i = rows.first; i < rows.end; i++)
    for (u32 j = columns.first; j < columns.end; j++) {
      u32 u = at.row + size.padding - i * size.stride, v = at.column + size.padding - j * size.stride;
      u64 output = size.output(at.n, i, j, at.channel);
      if (choice[output] == u * size.window + v) sum += d_y[output];
    }
  d_x[element] = sum;
}

KERNEL(THREADS) average_pool2d_backward(Pool size, const act* d_y, act* d_x, u32 len) {
  u64 element = ELEMENT;
  if (element >= len) return;
  PlaneElement at((u32)element, size.channels, size.height, size.width);
  Range rows = windows_around(size, at.row, size.out_height);
  Range columns = windows_around(size, at.column, size.out_width);
  float sum = 0.0f;
  for (u32 i = rows.first; i < rows.end; i++)
    for (u32 j = columns.first; j < columns.end; j++) sum += d_y[size.output(at.n, i, j, at.channel)];
  d_x[element] = sum / (float)(size.window * size.window);
}

struct Cells {
  u32 channels, height, width, out_height, out_width;
};

// Rows (or columns) of cell `index` where `all` of them are cut into `parts`. Where cells and rows change places the
// same formula gives the cells that row `index` lies in.
__device__ Range cut(u32 index, u32 all, u32 parts) {
  return Range{index * all / parts, ((index + 1) * all + parts - 1) / parts};
}

// Added in f64: a cell may be the whole plane.
KERNEL(THREADS) adaptive_average_pool2d_forward(Cells size, const act* x, act* y, u32 len) {
  u64 element = ELEMENT;
  if (element >= len) return;
  PlaneElement at((u32)element, size.channels, size.out_height, size.out_width);
  Range rows = cut(at.row, size.height, size.out_height), columns = cut(at.column, size.width, size.out_width);
  double sum = 0.0;
  for (u32 row = rows.first; row < rows.end; row++) {
    const act* places = x + ((u64)at.n * size.height + row) * size.width * size.channels + at.channel;
    for (u32 column = columns.first; column < columns.end; column++) sum += places[column * size.channels];
  }
  y[element] = (float)(sum / ((rows.end - rows.first) * (columns.end - columns.first)));
}

KERNEL(THREADS) adaptive_average_pool2d_backward(Cells size, const act* d_y, act* d_x, u32 len) {
  u64 element = ELEMENT;
  if (element >= len) return;
  PlaneElement at((u32)element, size.channels, size.height, size.width);
  Range around = cut(at.row, size.out_height, size.height), beside = cut(at.column, size.out_width, size.width);
  float sum = 0.0f;
  for (u32 i = around.first; i < around.end; i++)
    for (u32 j = beside.first; j < beside.end; j++) {
      Range rows = cut(i, size.height, size.out_height), columns = cut(j, size.width, size.out_width);
      u32 count = (rows.end - rows.first) * (columns.end - columns.first);
      sum += d_y[(((u64)at.n * size.out_height + i) * size.out_width + j) * size.channels + at.channel] / (float)count;
    }
  d_x[element] = sum;
}
