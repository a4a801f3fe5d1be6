// Group normalisation: every sample is a matrix of H*W rows. Sums of its channels part by part, then of its groups.

// Index of a sample's first value of the group of the thread's channel.
__device__ u64 group_norm_origin(const Columns& columns, u32 groups) {
  u32 together = columns.channels / groups;
  return (u64)columns.matrix() * columns.rows * columns.channels + columns.channel() / together * together;
}

// What a sample's moments or means (N, 2, G) hold for the thread's channel.
struct GroupNormPair {
  float first, second;

  __device__ GroupNormPair(const Columns& columns, u32 groups, const float* pairs) {
    const float* of_sample = pairs + (u64)2 * columns.matrix() * groups;
    u32 group = columns.channel() / (columns.channels / groups);
    first = of_sample[group];
    second = of_sample[groups + group];
  }
};

KERNEL(THREADS) group_norm_sums(Columns columns, u32 groups, const act* x, double* partials) {
  store_partials(columns, deviation_sums(columns, x, group_norm_origin(columns, groups)), partials);
}

// A block has `width` groups, each with THREADS / width threads; groups are counted over all samples.
struct GroupNormGroups {
  u32 of_all, of_sample, channels, rows, parts, width;

  __device__ u32 group() const { return blockIdx.x * width + threadIdx.x % width; }
  __device__ u32 sample() const { return group() / of_sample; }
  // Channels of a group, and the first of them in its sample.
  __device__ u32 together() const { return channels / of_sample; }
  __device__ u32 first_channel() const { return group() % of_sample * together(); }
  __device__ double values() const { return (double)together() * rows; }
  // Whether the thread is the one of its group that stores what came of it, and where: in (N, 2, G).
  __device__ bool stores() const { return threadIdx.x < width && group() < of_all; }
  __device__ u64 place() const { return (u64)2 * of_sample * sample() + group() % of_sample; }

  // The sums of the parts and channels of a group, each channel's times its weight unless that is null.
  __device__ ColumnSums total(const double* partials, const float* weight) const {
    ColumnSums sums = {0.0, 0.0};
    if (group() < of_all) {
      for (u32 member = threadIdx.x / width; member < parts * together(); member += THREADS / width) {
        u32 channel = first_channel() + member % together();
        const double* from = partials + 2 * ((u64)sample() * parts + member / together()) * channels + channel;
        double factor = weight ? weight[channel] : 1.0;
        sums.first += factor * from[0];
        sums.second += factor * from[channels];
      }
    }
    return column_sums(sums, width);
  }
};

// Moments (N, 2, G); and for each group what its mean lost when it was rounded, times the second moment.
KERNEL(THREADS) group_norm_moments(GroupNormGroups groups, float epsilon, const act* x, const double* partials,
                                   float* moments, float* rests) {
  ColumnSums sums = groups.total(partials, nullptr);
  if (!groups.stores()) return;
  u64 origin = (u64)groups.sample() * groups.rows * groups.channels + groups.first_channel();
  ColumnMoments of_group = moments_of(groups.values() > 0.0 ? x[origin] : 0.0f, sums, groups.values());
  double inverse = 1.0 / sqrt(of_group.variance + epsilon);
  float mean = (float)of_group.mean;
  moments[groups.place()] = mean;
  moments[groups.place() + groups.of_sample] = (float)inverse;
  rests[groups.group()] = (float)((mean - of_group.mean) * inverse);
}

KERNEL(THREADS) group_norm_normalise(Columns columns, u32 groups, const float* moments, const float* rests,
                                     const float* weight, const float* bias, const act* x, act* y) {
  if (!columns.has_channel()) return;
  u32 channel = columns.channel();
  GroupNormPair moment(columns, groups, moments);
  float rest = rests[(u64)columns.matrix() * groups + channel / (columns.channels / groups)];
  float scale = weight[channel], shift = bias[channel];
  u64 stride = columns.stride();
  columns.chunks([&](u64 at, u32 count) {
    float values[CHUNK_ROWS];
    load_chunk(x, at, stride, count, values);
#pragma unroll
    for (u32 i = 0; i < CHUNK_ROWS; i++) {
      float normalised = fmaf(values[i] - moment.first, moment.second, rest);
      if (i < count) y[at + i * stride] = fmaf(normalised, scale, shift);
    }
  });
}

// Sums of d_y and of d_y times the normalised x.
KERNEL(THREADS) group_norm_backward_sums(Columns columns, u32 groups, const float* moments, const act* x, const act* d_y,
                                         double* partials) {
  ColumnSums sums = {0.0, 0.0};
  if (columns.has_channel()) {
    GroupNormPair moment(columns, groups, moments);
    columns.chunks([&](u64 at, u32 count) {
      float values[CHUNK_ROWS], gradients[CHUNK_ROWS];
      load_chunk(x, at, columns.stride(), count, values);
      load_chunk(d_y, at, columns.stride(), count, gradients);
      float sum = 0.0f, products = 0.0f;
#pragma unroll
      for (u32 i = 0; i < CHUNK_ROWS; i++) {
        sum += gradients[i];
        products = fmaf(gradients[i], (values[i] - moment.first) * moment.second, products);
      }
      sums.first += sum;
      sums.second += products;
    });
  }
  store_partials(columns, sums, partials);
}

// A channel's sums over all parts of all samples.
KERNEL(THREADS) group_norm_backward_parameters(u32 parts, u32 channels, const double* partials, float* d_weight,
                                               float* d_bias) {
  ColumnSums sums = total_of_parts(partials, parts, channels);
  if (!stores_total(channels)) return;
  d_bias[total_channel()] = (float)sums.first;
  d_weight[total_channel()] = (float)sums.second;
}

// Means (N, 2, G) over a group of d = weight * d_y, and of d times the normalised x.
KERNEL(THREADS) group_norm_backward_means(GroupNormGroups groups, const float* weight, const double* partials,
                                          float* means) {
  ColumnSums sums = groups.total(partials, weight);
  if (!groups.stores()) return;
  means[groups.place()] = (float)(sums.first / groups.values());
  means[groups.place() + groups.of_sample] = (float)(sums.second / groups.values());
}

KERNEL(THREADS) group_norm_backward_input(Columns columns, u32 groups, const float* moments, const float* means,
                                          const float* weight, const act* x, const act* d_y, act* d_x) {
  if (!columns.has_channel()) return;
  GroupNormPair moment(columns, groups, moments), mean(columns, groups, means);
  float scale = weight[columns.channel()];
  u64 stride = columns.stride();
  columns.chunks([&](u64 at, u32 count) {
    float values[CHUNK_ROWS], gradients[CHUNK_ROWS];
    load_chunk(x, at, stride, count, values);
    load_chunk(d_y, at, stride, count, gradients);
#pragma unroll
    for (u32 i = 0; i < CHUNK_ROWS; i++) {
      float normalised = (values[i] - moment.first) * moment.second;
      float d = (scale * gradients[i] - mean.first) - normalised * mean.second;
      if (i < count) d_x[at + i * stride] = d * moment.second;
    }
  });
}
