// Softmax cross-entropy, and the sums of any loss over classes.

// What a softmax over a sample's classes is made of: z = x - largest.
struct Softmax {
  float largest;
  // Of e^z, and of z.
  double sum, distances;

  __device__ explicit Softmax(const LossRow& row) {
    largest = row.x[0];
    for (u32 k = row.lane; k < row.classes; k += WARP) largest = fmaxf(largest, row.x[k]);
    largest = warp_largest(largest);
    sum = distances = 0.0;
    for (u32 k = row.lane; k < row.classes; k += WARP) {
      sum += expf(row.x[k] - largest);
      distances += (double)row.x[k] - largest;
    }
    sum = warp_sum(sum);
    distances = warp_sum(distances);
  }
};

struct CrossEntropy {
  static const bool SMALLER_IS_BETTER = false;
  float smoothing;

  // l = log(sum of e^z) - (1 - s) * z[label] - s/K * sum of z.
  __device__ double operator()(const LossRow& row) const {
    Softmax softmax(row);
    double on_label = 1.0 - smoothing, on_all = smoothing / (double)row.classes;
    float total = (float)softmax.sum;
    for (u32 k = row.lane; k < row.classes; k += WARP) {
      float d = expf(row.x[k] - softmax.largest) / total - (float)on_all;
      row.d_x[k] = k == row.label ? d - (float)on_label : d;
    }
    double of_label = log(softmax.sum) - on_label * ((double)row.x[row.label] - softmax.largest);
    // Where it is 0, an infinite distance would make it a NaN.
    return smoothing > 0.0f ? of_label - on_all * softmax.distances : of_label;
  }
};

KERNEL(THREADS) cross_entropy(LossSize size, const act* x, const u16* labels, act* d_x, double* losses,
                              u32* answers, float smoothing) {
  loss_over_classes(CrossEntropy{smoothing}, size, x, labels, d_x, losses, answers);
}

struct MixedCrossEntropy {
  static const bool SMALLER_IS_BETTER = false;
  float smoothing;
  const u16* others;
  const float* shares;

  // l = log(sum of e^z) - (1 - s) * (share * z[label] + (1 - share) * z[other]) - s/K * sum of z. A class without a share is
  // left out, since its distance may be infinite; another label that names no class makes loss and gradient NaN.
  __device__ double operator()(const LossRow& row) const {
    u32 other = others[row.n];
    if (other >= row.classes) {
      for (u32 k = row.lane; k < row.classes; k += WARP) row.d_x[k] = NOT_A_NUMBER;
      return NOT_A_NUMBER;
    }
    Softmax softmax(row);
    double share = shares[row.n], on_labels = 1.0 - smoothing, on_all = smoothing / (double)row.classes;
    double on_label = on_labels * share, on_other = on_labels * (1.0 - share);
    float total = (float)softmax.sum;
    for (u32 k = row.lane; k < row.classes; k += WARP) {
      float d = expf(row.x[k] - softmax.largest) / total - (float)on_all;
      if (k == row.label) d -= (float)on_label;
      if (k == other) d -= (float)on_other;
      row.d_x[k] = d;
    }
    double loss = log(softmax.sum);
    if (on_label > 0.0) loss -= on_label * ((double)row.x[row.label] - softmax.largest);
    if (on_other > 0.0) loss -= on_other * ((double)row.x[other] - softmax.largest);
    return smoothing > 0.0f ? loss - on_all * softmax.distances : loss;
  }
};

KERNEL(THREADS) mixed_cross_entropy(LossSize size, const act* x, const u16* labels, act* d_x, double* losses,
                                    u32* answers, float smoothing, const u16* others, const float* shares) {
  loss_over_classes(MixedCrossEntropy{smoothing, others, shares}, size, x, labels, d_x, losses, answers);
}

// One block: the losses in the samples' order, and the two counts.
KERNEL(THREADS) cross_entropy_sums(const double* losses, const u32* answers, double* sums, u32 samples) {
  __shared__ double tile[THREADS];
  __shared__ u32 counts[THREADS];
  double loss = ordered_sum(losses, samples, tile);
  u32 correct = 0, correct_in_5 = 0;
  for (u32 n = threadIdx.x; n < samples; n += THREADS) {
    correct += answers[n] & 1;
    correct_in_5 += answers[n] >> 1;
  }
  correct = block_sum(correct, counts);
  correct_in_5 = block_sum(correct_in_5, counts);
  if (threadIdx.x == 0) {
    sums[0] = loss;
    sums[1] = correct;
    sums[2] = correct_in_5;
  }
}
