// What lies between a convolution and its pooling to 2 x 2 windows, on the way there and on the way back.

struct Pooled {
  u32 samples, channels, height, width, pooled_height, pooled_width;
};

// y and choice of a window, a thread each. The first of equal values wins, a NaN over numbers.
KERNEL(THREADS) conv2d_max_pool2d_forward(Pooled size, const act* convolved, act* y, u8* choice) {
  if (ELEMENT >= (u64)size.samples * size.pooled_height * size.pooled_width * size.channels) return;
  u32 element = ELEMENT;
  PlaneElement at(element, size.channels, size.pooled_height, size.pooled_width);
  u64 pixel = (u64)(at.n * size.height + 2 * at.row) * size.width + 2 * at.column;
  const act* corner = convolved + pixel * size.channels + at.channel;
  float largest = corner[0];
  u32 chosen = 0;
  for (u32 place = 1; place < 4; place++) {
    float value = corner[(u64)(place / 2 * size.width + place % 2) * size.channels];
    if (!(value <= largest) && largest == largest) {
      largest = value;
      chosen = place;
    }
  }
  y[element] = largest;
  choice[element] = chosen;
}

// The gradient of the convolution's output, a thread an element: d_y where a window chose it, else 0.
KERNEL(THREADS) conv2d_max_pool2d_spread(Pooled size, const act* d_y, const u8* choice, act* d_convolved) {
  if (ELEMENT >= (u64)size.samples * size.height * size.width * size.channels) return;
  u32 element = ELEMENT;
  PlaneElement at(element, size.channels, size.height, size.width);
  float gradient = 0.0f;
  if (at.row / 2 < size.pooled_height && at.column / 2 < size.pooled_width) {
    u64 window = (u64)(at.n * size.pooled_height + at.row / 2) * size.pooled_width + at.column / 2;
    u64 from = window * size.channels + at.channel;
    if (choice[from] == at.row % 2 * 2 + at.column % 2) gradient = d_y[from];
  }
  d_convolved[element] = gradient;
}
