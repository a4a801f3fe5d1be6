// Radial basis functions: a warp an output, a thread an input's gradient.

struct RadialBasis {
  u32 inputs, outputs;
};

// Lanes add every 32nd square, then each other's sums.
KERNEL(THREADS) radial_basis_forward(RadialBasis size, const act* x, const float* centres, act* y, u32 len) {
  u64 output = ELEMENT / WARP;
  if (output >= len) return;
  u32 n = (u32)output / size.outputs, o = (u32)output % size.outputs;
  const act* own = x + (u64)n * size.inputs;
  const float* centre = centres + (u64)o * size.inputs;
  u32 lane = threadIdx.x % WARP;
  float sum = 0.0f;
  for (u32 i = lane; i < size.inputs; i += WARP) {
    float difference = own[i] - centre[i];
    sum = fmaf(difference, difference, sum);
  }
  sum = warp_sum(sum);
  if (lane == 0) y[output] = sum;
}

KERNEL(THREADS) radial_basis_backward_input(RadialBasis size, const act* x, const float* centres, const act* d_y,
                                            act* d_x, u32 len) {
  u64 element = ELEMENT;
  if (element >= len) return;
  u32 n = (u32)element / size.inputs, i = (u32)element % size.inputs;
  float own = x[element], sum = 0.0f;
  for (u32 o = 0; o < size.outputs; o++)
    sum = fmaf(own - centres[(u64)o * size.inputs + i], d_y[(u64)n * size.outputs + o], sum);
  d_x[element] = sum + sum;
}

KERNEL(THREADS) radial_basis_curvature_input(RadialBasis size, const act* x, const float* centres, const act* d_y,
                                             const act* h_y, act* h_x, u32 len) {
  u64 element = ELEMENT;
  if (element >= len) return;
  u32 n = (u32)element / size.inputs, i = (u32)element % size.inputs;
  float own = x[element], slope = 0.0f, sum = 0.0f;
  for (u32 o = 0; o < size.outputs; o++) {
    float difference = own - centres[(u64)o * size.inputs + i], twice = difference + difference;
    u64 output = (u64)n * size.outputs + o;
    slope += d_y[output];
    sum = fmaf(twice * twice, h_y[output], sum);
  }
  float second = sum + (slope + slope);
  // A NaN stays.
  h_x[element] = second < 0.0f ? 0.0f : second;
}
