// Softmax cross-entropy, and the sums of any loss over classes.

struct CrossEntropy {
  static const bool SMALLER_IS_BETTER = false;
  float smoothing;

  // With z = x - max: l = log(sum of e^z) - (1 - s) * z[label] - s/K * sum of z.
  __device__ double operator()(const LossRow& row) const {
    float largest = row.x[0];
    for (u32 k = row.lane; k < row.classes; k += WARP) largest = fmaxf(largest, row.x[k]);
    largest = warp_largest(largest);
    double sum = 0.0, distances = 0.0;
    for (u32 k = row.lane; k < row.classes; k += WARP) {
      sum += expf(row.x[k] - largest);
      distances += (double)row.x[k] - largest;
    }
    sum = warp_sum(sum);
    distances = warp_sum(distances);
    double on_label = 1.0 - smoothing, on_all = smoothing / (double)row.classes;
    float total = (float)sum;
    for (u32 k = row.lane; k < row.classes; k += WARP) {
      float d = expf(row.x[k] - largest) / total - (float)on_all;
      row.d_x[k] = k == row.label ? d - (float)on_label : d;
    }
    double of_label = log(sum) - on_label * ((double)row.x[row.label] - largest);
    // Where it is 0, an infinite distance would make it a NaN.
    return smoothing > 0.0f ? of_label - on_all * distances : of_label;
  }
};

KERNEL(THREADS) cross_entropy(LossSize size, const act* x, const u16* labels, act* d_x, double* losses,
                              u32* answers, float smoothing) {
  loss_over_classes(CrossEntropy{smoothing}, size, x, labels, d_x, losses, answers);
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
