// Batch normalisation: an activation is one matrix of N * H*W rows. Sums of channels part by part, what follows from
// them, then values.
//
// Factors (3, C) are what makes values of numbers: forward mean, scale and shift of y = (x - mean) * scale + shift,
// backward a, b and c of d_x = a * ((d_y - b) - c * (x - mean)).

__device__ void batch_norm_store_factors(u32 channels, u32 channel, double first, double second, double third,
                                         float* factors) {
  factors[channel] = (float)first;
  factors[channels + channel] = (float)second;
  factors[2 * (u64)channels + channel] = (float)third;
}

// The subtraction of the rounded mean is exact for values near it; what was rounded off goes into the shift.
__device__ void batch_norm_store_affine(u32 channels, u32 channel, double mean, double inverse, const float* weight,
                                        const float* bias, float* factors) {
  double scale = weight[channel] * inverse;
  double shift = bias[channel] + scale * ((float)mean - mean);
  batch_norm_store_factors(channels, channel, mean, scale, shift, factors);
}

KERNEL(THREADS) batch_norm_sums(Columns columns, const act* x, double* partials) {
  store_partials(columns, deviation_sums(columns, x, columns.channel()), partials);
}

// Moments and statistics of the micro-batch, as the contract has them.
KERNEL(THREADS) batch_norm_moments(Columns columns, u32 samples, float epsilon, const act* x, const double* partials,
                                   const float* weight, const float* bias, float* moments, float* statistics,
                                   float* factors) {
  u32 channels = columns.channels, channel = total_channel();
  ColumnSums sums = total_of_parts(partials, columns.parts, channels);
  if (!stores_total(channels)) return;
  double n = columns.rows;
  ColumnMoments of_batch = moments_of(columns.rows > 0 ? x[channel] : 0.0f, sums, n);
  double inverse = 1.0 / sqrt(of_batch.variance + epsilon);
  // One number has no unbiased variance; its biased one is 0.
  double unbiased = n > 1.0 ? of_batch.variance * (n / (n - 1.0)) : of_batch.variance;
  moments[channel] = (float)of_batch.mean;
  moments[channels + channel] = (float)inverse;
  statistics[channel] = (float)(samples * of_batch.mean);
  statistics[channels + channel] = (float)(samples * unbiased);
  batch_norm_store_affine(channels, channel, of_batch.mean, inverse, weight, bias, factors);
}

// Running moments: means, then variances.
KERNEL(THREADS) batch_norm_running(u32 channels, float epsilon, const float* running, const float* weight,
                                   const float* bias, float* factors) {
  u32 channel = (u32)ELEMENT;
  if (channel >= channels) return;
  double inverse = 1.0 / sqrt((double)running[channels + channel] + epsilon);
  batch_norm_store_affine(channels, channel, running[channel], inverse, weight, bias, factors);
}

// `residual` is null if there is none.
KERNEL(THREADS) batch_norm_normalise(Columns columns, u32 relu, const float* factors, const act* x,
                                     const act* residual, act* y) {
  if (!columns.has_channel()) return;
  const float* of_channel = factors + columns.channel();
  float mean = of_channel[0], scale = of_channel[columns.channels], shift = of_channel[2 * (u64)columns.channels];
  u64 stride = columns.stride();
  columns.chunks([&](u64 at, u32 count) {
    float values[CHUNK_ROWS], residuals[CHUNK_ROWS];
    load_chunk(x, at, stride, count, values);
    if (residual) load_chunk(residual, at, stride, count, residuals);
#pragma unroll
    for (u32 i = 0; i < CHUNK_ROWS; i++) {
      float value = fmaf(values[i] - mean, scale, shift);
      if (residual) value += residuals[i];
      // A NaN is not below 0 and stays.
      if (relu && value < 0.0f) value = 0.0f;
      if (i < count) y[at + i * stride] = value;
    }
  });
}

// Sums of d_y and of d_y * (x - mean). `y` is null if there is no relu; else d_y becomes 0 where y is.
KERNEL(THREADS) batch_norm_backward_sums(Columns columns, const float* moments, const act* x, const act* y, act* d_y,
                                         double* partials) {
  ColumnSums sums = {0.0, 0.0};
  float mean = columns.has_channel() ? moments[columns.channel()] : 0.0f;
  u64 stride = columns.stride();
  columns.chunks([&](u64 at, u32 count) {
    float values[CHUNK_ROWS], gradients[CHUNK_ROWS], outputs[CHUNK_ROWS];
    load_chunk(x, at, stride, count, values);
    load_chunk(d_y, at, stride, count, gradients);
    if (y) load_chunk(y, at, stride, count, outputs);
    float sum = 0.0f, products = 0.0f;
#pragma unroll
    for (u32 i = 0; i < CHUNK_ROWS; i++) {
      float d = gradients[i];
      if (y) {
        if (!(outputs[i] > 0.0f)) d = 0.0f;
        if (i < count) d_y[at + i * stride] = d;
      }
      sum += d;
      products = fmaf(d, values[i] - mean, products);
    }
    sums.first += sum;
    sums.second += products;
  });
  store_partials(columns, sums, partials);
}

KERNEL(THREADS) batch_norm_backward_parameters(Columns columns, const double* partials, const float* weight,
                                               const float* moments, float* d_weight, float* d_bias, float* factors) {
  u32 channels = columns.channels, channel = total_channel();
  ColumnSums sums = total_of_parts(partials, columns.parts, channels);
  if (!stores_total(channels)) return;
  double n = columns.rows, inverse = moments[channels + channel];
  double of_weight = inverse * sums.second;
  d_bias[channel] = (float)sums.first;
  d_weight[channel] = (float)of_weight;
  batch_norm_store_factors(channels, channel, weight[channel] * inverse, sums.first / n, inverse * of_weight / n,
                           factors);
}

KERNEL(THREADS) batch_norm_backward_input(Columns columns, const float* factors, const float* moments, const act* x,
                                          const act* d_y, act* d_x) {
  if (!columns.has_channel()) return;
  const float* of_channel = factors + columns.channel();
  float a = of_channel[0], b = of_channel[columns.channels], c = of_channel[2 * (u64)columns.channels];
  float mean = moments[columns.channel()];
  u64 stride = columns.stride();
  columns.chunks([&](u64 at, u32 count) {
    float values[CHUNK_ROWS], gradients[CHUNK_ROWS];
    load_chunk(x, at, stride, count, values);
    load_chunk(d_y, at, stride, count, gradients);
#pragma unroll
    for (u32 i = 0; i < CHUNK_ROWS; i++)
      if (i < count) d_x[at + i * stride] = a * fmaf(-c, values[i] - mean, gradients[i] - b);
  });
}
