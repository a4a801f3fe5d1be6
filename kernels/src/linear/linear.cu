// The linear layer as products of matrices. Features of an activation with a plane lie place by place, those of the
// weight channel by channel: `feature(i)` is where feature i of a sample lies.

struct Linear {
  u32 samples, inputs, plane, outputs;

  __device__ u32 feature(u32 i) const { return plane == 1 ? i : i % plane * (inputs / plane) + i / plane; }
};

// x(n, i)
struct Inputs {
  static const bool K_IS_NEAR = true;
  Linear size;
  const act* x;
  __device__ float operator()(u32 n, u32 i) const {
    return n < size.samples && i < size.inputs ? x[(u64)n * size.inputs + size.feature(i)] : 0.0f;
  }
};

// w(o, i)
struct Weight {
  static const bool K_IS_NEAR = true;
  Linear size;
  const float* w;
  __device__ float operator()(u32 o, u32 i) const {
    return o < size.outputs && i < size.inputs ? w[(u64)o * size.inputs + i] : 0.0f;
  }
};

struct StoreOutputs {
  Linear size;
  const float* bias;
  act* y;
  __device__ void operator()(u32 n, u32 o, float sum) const {
    if (n < size.samples && o < size.outputs) y[(u64)n * size.outputs + o] = sum + bias[o];
  }
};

// A tile of y: rows are samples, columns outputs.
KERNEL(THREADS) linear_forward(Linear size, const act* x, const float* weight, const float* bias, act* y) {
  product_tile(blockIdx.y * TILE, blockIdx.x * TILE, 0, size.inputs, Inputs{size, x}, Weight{size, weight},
               StoreOutputs{size, bias, y});
}

// d_y(n, o)
struct Behind {
  static const bool K_IS_NEAR = true;
  Linear size;
  const act* d_y;
  __device__ float operator()(u32 n, u32 o) const {
    return n < size.samples && o < size.outputs ? d_y[(u64)n * size.outputs + o] : 0.0f;
  }
};

// w(i, o), by columns
struct WeightAcross {
  static const bool K_IS_NEAR = false;
  Linear size;
  const float* w;
  __device__ float operator()(u32 i, u32 o) const {
    return o < size.outputs && i < size.inputs ? w[(u64)o * size.inputs + i] : 0.0f;
  }
};

struct StoreInputs {
  Linear size;
  act* d_x;
  __device__ void operator()(u32 n, u32 i, float sum) const {
    if (n < size.samples && i < size.inputs) d_x[(u64)n * size.inputs + size.feature(i)] = sum;
  }
};

// A tile of d_x: rows are samples, columns inputs.
KERNEL(THREADS) linear_backward_input(Linear size, const float* weight, const act* d_y, act* d_x) {
  product_tile(blockIdx.y * TILE, blockIdx.x * TILE, 0, size.outputs, Behind{size, d_y}, WeightAcross{size, weight},
               StoreInputs{size, d_x});
}

// d_y(o, n)
struct BehindAcross {
  static const bool K_IS_NEAR = false;
  Linear size;
  const act* d_y;
  __device__ float operator()(u32 o, u32 n) const {
    return n < size.samples && o < size.outputs ? d_y[(u64)n * size.outputs + o] : 0.0f;
  }
};

// x(i, n)
struct InputsAcross {
  static const bool K_IS_NEAR = false;
  Linear size;
  const act* x;
  __device__ float operator()(u32 i, u32 n) const {
    return n < size.samples && i < size.inputs ? x[(u64)n * size.inputs + size.feature(i)] : 0.0f;
  }
};

struct StoreWeight {
  Linear size;
  float* d_w;
  __device__ void operator()(u32 o, u32 i, float sum) const {
    if (o < size.outputs && i < size.inputs) d_w[(u64)o * size.inputs + i] = sum;
  }
};

// A tile of d_w: rows are outputs, columns inputs.
KERNEL(THREADS) linear_backward_weight(Linear size, const act* x, const act* d_y, float* d_weight) {
  product_tile(blockIdx.y * TILE, blockIdx.x * TILE, 0, size.samples, BehindAcross{size, d_y}, InputsAcross{size, x},
               StoreWeight{size, d_weight});
}

// d_b(o), samples upwards; a thread an output.
KERNEL(THREADS) linear_backward_bias(Linear size, const act* d_y, float* d_bias) {
  u64 o = ELEMENT;
  if (o >= size.outputs) return;
  float sum = 0.0f;
  for (u32 n = 0; n < size.samples; n++) sum += d_y[(u64)n * size.outputs + o];
  d_bias[o] = sum;
}
