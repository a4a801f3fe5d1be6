// Binary cross-entropy of each output.

struct EachOutput {
  static const bool SMALLER_IS_BETTER = false;

  // With z = -x for the label and x for the others an output's loss is ln(1 + e^z) and its gradient -/+ sigmoid(z) / K:
  // neither cancels, and e^-|z| never overflows.
  __device__ double operator()(const LossRow& row) const {
    double sum = 0.0;
    for (u32 k = row.lane; k < row.classes; k += WARP) {
      bool right = k == row.label;
      float z = right ? -row.x[k] : row.x[k];
      float e = expf(-fabsf(z));
      float share = (z < 0.0f ? e : 1.0f) / (1.0f + e) / (float)row.classes;
      row.d_x[k] = right ? -share : share;
      sum += fmaxf(0.0f, z) + log1pf(e);
    }
    return warp_sum(sum) / row.classes;
  }
};

KERNEL(THREADS) binary_cross_entropy(LossSize size, const act* x, const u16* labels, act* d_x, double* losses,
                                     u32* answers) {
  loss_over_classes(EachOutput{}, size, x, labels, d_x, losses, answers);
}
