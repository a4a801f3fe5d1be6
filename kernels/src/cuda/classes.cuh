// What the losses over classes share: a warp has a sample, and its lanes take the classes in turn.

#define NOT_A_NUMBER __uint_as_float(0x7fc00000u)

struct LossSize {
  u32 samples, classes;
};

// A sample's outputs, their gradients, and its label; `lane` of the warp has classes lane, lane + WARP, ...
struct LossRow {
  const act* x;
  act* d_x;
  u32 label, classes, lane;
  u64 n;
};

// The largest over a warp, the same for all lanes; of a NaN and a number the number.
__device__ inline float warp_largest(float value) {
  for (u32 distance = WARP / 2; distance > 0; distance /= 2)
    value = fmaxf(value, __shfl_xor_sync(~0u, value, distance));
  return value;
}

// Bit 0 where the label's output is the best, bit 1 where it is among the five best; larger ones are better with a sign
// of 1, smaller ones with -1. It stands behind those that are better, those that are equal and come first, and NaNs; a
// NaN stands behind all.
__device__ inline u32 right_answers(const LossRow& row, float sign) {
  float of_label = sign * row.x[row.label];
  u32 ahead = 0;
  for (u32 k = row.lane; k < row.classes; k += WARP) {
    float x = sign * row.x[k];
    bool better_or_nan = !(x <= of_label);
    ahead += better_or_nan || (x == of_label && k < row.label);
  }
  ahead = warp_sum(ahead);
  bool is_number = of_label == of_label;
  return is_number ? (ahead < 1) + 2 * (ahead < 5) : 0;
}

// A warp's sample. `loss(row)` gives its loss, the same for all lanes, and overwrites the gradient. A label that names no
// class, which nobody on the host has looked at here, makes both NaN.
template <class Loss>
__device__ void loss_over_classes(const Loss& loss, const LossSize& size, const act* x, const u16* labels, act* d_x,
                                  double* losses, u32* answers) {
  u64 n = ELEMENT / WARP;
  if (n >= size.samples) return;
  LossRow row{x + n * size.classes, d_x + n * size.classes, labels[n], size.classes, threadIdx.x % WARP, n};
  if (row.label >= row.classes) {
    for (u32 k = row.lane; k < row.classes; k += WARP) row.d_x[k] = NOT_A_NUMBER;
    if (row.lane == 0) {
      losses[n] = NOT_A_NUMBER;
      answers[n] = 0;
    }
    return;
  }
  double of_sample = loss(row);
  u32 answer = right_answers(row, Loss::SMALLER_IS_BETTER ? -1.0f : 1.0f);
  if (row.lane == 0) {
    losses[n] = of_sample;
    answers[n] = answer;
  }
}
