// Tangents: what bends of activations, chosen places of windows, gradients of losses.

KERNEL(THREADS) tangent_bend(float start, float slope, const act* y, const act* r_y, const act* d_y, act* r_d, u32 len) {
  u64 i = ELEMENT;
  if (i < len) r_d[i] = r_d[i] + (start + slope * y[i]) * (r_y[i] * d_y[i]);
}

struct ChosenSize {
  u32 channels, height, width, window, stride, padding, out_height, out_width;
};

KERNEL(THREADS) tangent_chosen(ChosenSize size, const act* x, const u8* choice, act* y, u32 len) {
  u64 element = ELEMENT;
  if (element >= len) return;
  PlaneElement at((u32)element, size.channels, size.out_height, size.out_width);
  u32 place = choice[element];
  u32 row = at.row * size.stride + place / size.window - size.padding;
  u32 column = at.column * size.stride + place % size.window - size.padding;
  y[element] = x[(((u64)at.n * size.height + row) * size.width + column) * size.channels + at.channel];
}

// In the order of cuda.rs.
enum OutputTangent : u32 { OfSoftmax, OfSigmoid, OfQuadratic, OfShares };

// A warp a sample, as the losses have it.
KERNEL(THREADS) tangent_of_outputs(LossSize size, u32 loss, float factor, const act* x, const act* d_x, act* r) {
  u64 n = ELEMENT / WARP;
  if (n >= size.samples) return;
  u32 lane = threadIdx.x % WARP;
  x += n * size.classes;
  d_x += n * size.classes;
  r += n * size.classes;
  if (loss == OfQuadratic || loss == OfSigmoid) {
    for (u32 k = lane; k < size.classes; k += WARP) {
      float slope = loss == OfQuadratic ? 1.0f : 1.0f / (1.0f + expf(-x[k])) * (1.0f / (1.0f + expf(x[k])));
      r[k] = factor * slope * r[k];
    }
    return;
  }
  float largest = x[0];
  double sum = loss == OfSoftmax ? 0.0 : 1.0, mean = 0.0;
  if (loss == OfSoftmax) {
    for (u32 k = lane; k < size.classes; k += WARP) largest = fmaxf(largest, x[k]);
    largest = warp_largest(largest);
    double own = 0.0;
    for (u32 k = lane; k < size.classes; k += WARP) own += expf(x[k] - largest);
    sum = warp_sum(own);
  }
  for (u32 k = lane; k < size.classes; k += WARP) {
    float share = loss == OfSoftmax ? expf(x[k] - largest) / (float)sum : fmaxf(0.0f, -d_x[k]);
    mean += (double)share * r[k];
  }
  mean = warp_sum(mean);
  for (u32 k = lane; k < size.classes; k += WARP) {
    float share = loss == OfSoftmax ? expf(x[k] - largest) / (float)sum : fmaxf(0.0f, -d_x[k]);
    r[k] = share * (r[k] - (float)mean);
  }
}
