// LeNet-5's maximum a posteriori loss.

struct Distances {
  static const bool SMALLER_IS_BETTER = true;
  float rubbish;

  // With m the smallest of j and the wrong outputs: l = x[label] - m + ln(e^(m-j) + sum of the wrong e^(m-x)). In
  // relation to the smallest no power overflows.
  __device__ double operator()(const LossRow& row) const {
    float smallest = rubbish;
    for (u32 k = row.lane; k < row.classes; k += WARP)
      if (k != row.label) smallest = fminf(smallest, row.x[k]);
    smallest = -warp_largest(-smallest);
    double sum = 0.0;
    for (u32 k = row.lane; k < row.classes; k += WARP)
      if (k != row.label) sum += expf(smallest - row.x[k]);
    sum = warp_sum(sum) + expf(smallest - rubbish);
    float total = (float)sum;
    for (u32 k = row.lane; k < row.classes; k += WARP)
      row.d_x[k] = k == row.label ? 1.0f : -expf(smallest - row.x[k]) / total;
    return (double)row.x[row.label] - smallest + log(sum);
  }
};

KERNEL(THREADS) map_loss(LossSize size, const act* x, const u16* labels, act* d_x, double* losses,
                         u32* answers, float rubbish) {
  loss_over_classes(Distances{rubbish}, size, x, labels, d_x, losses, answers);
}
