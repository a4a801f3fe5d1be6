// The linear layer as products of matrices. Features of an activation with a plane lie place by place, those of the
// weight channel by channel: `feature(i)` is where feature i of a sample lies.

struct Linear {
  u32 samples, inputs, plane, outputs;

  __device__ u32 feature(u32 i) const { return plane == 1 ? i : i % plane * (inputs / plane) + i / plane; }
};

// x(n, i)
struct Inputs {
  static const bool K_IS_NEAR = true;
  typedef const act* Across;
  typedef u32 Along;

  Linear size;
  const act* x;

  __device__ const act* across(u32 n) const { return n < size.samples ? x + (u64)n * size.inputs : nullptr; }
  __device__ u32 along(u32 i) const { return i < size.inputs ? size.feature(i) : size.inputs; }
  __device__ float at(const act* sample, u32 feature) const {
    return sample && feature < size.inputs ? sample[feature] : 0.0f;
  }
};

struct StoreOutputs {
  Linear size;
  const float* bias;
  act* y;
  __device__ void operator()(u32 n, u32 first, const float (&sums)[4]) const {
    if (n >= size.samples) return;
#pragma unroll
    for (u32 o = first; o < first + 4; o++)
      if (o < size.outputs) y[(u64)n * size.outputs + o] = sums[o - first] + bias[o];
  }
};

// A tile of y: rows are samples, columns outputs.
KERNEL(THREADS) linear_forward(Linear size, const act* x, const float* weight, const float* bias, act* y) {
  Plain<float> of_weight{weight, size.outputs, size.inputs, size.inputs};
  product_tile<Square>(blockIdx.y * Square::ROWS, blockIdx.x * Square::COLUMNS, 0, size.inputs, Inputs{size, x},
                       of_weight, StoreOutputs{size, bias, y});
}

struct StoreInputs {
  Linear size;
  act* d_x;
  __device__ void operator()(u32 n, u32 first, const float (&sums)[4]) const {
    if (n >= size.samples) return;
#pragma unroll
    for (u32 i = first; i < first + 4; i++)
      if (i < size.inputs) d_x[(u64)n * size.inputs + size.feature(i)] = sums[i - first];
  }
};

// A tile of d_x: rows are samples, columns inputs.
KERNEL(THREADS) linear_backward_input(Linear size, const float* weight, const act* d_y, act* d_x) {
  Plain<act> behind{d_y, size.samples, size.outputs, size.outputs};
  Turned<Plain<float>> of_weight{{weight, size.outputs, size.inputs, size.inputs}};
  product_tile<Square>(blockIdx.y * Square::ROWS, blockIdx.x * Square::COLUMNS, 0, size.outputs, behind, of_weight,
                       StoreInputs{size, d_x});
}

struct StoreWeight {
  Linear size;
  float* d_w;
  __device__ void operator()(u32 o, u32 first, const float (&sums)[4]) const {
    if (o >= size.outputs) return;
#pragma unroll
    for (u32 i = first; i < first + 4; i++)
      if (i < size.inputs) d_w[(u64)o * size.inputs + i] = sums[i - first];
  }
};

// A tile of d_w: rows are outputs, columns inputs.
KERNEL(THREADS) linear_backward_weight(Linear size, const act* x, const act* d_y, float* d_weight) {
  Turned<Plain<act>> behind{{d_y, size.samples, size.outputs, size.outputs}};
  Turned<Inputs> inputs{{size, x}};
  product_tile<Square>(blockIdx.y * Square::ROWS, blockIdx.x * Square::COLUMNS, 0, size.samples, behind, inputs,
                       StoreWeight{size, d_weight});
}

// Features of all samples channel by channel, as the weight has them; a thread a feature.
KERNEL(THREADS) linear_turn(Linear size, const act* x, act* turned) {
  u64 element = ELEMENT;
  if (element >= (u64)size.samples * size.inputs) return;
  u64 n = element / size.inputs;
  turned[element] = x[n * size.inputs + size.feature(element % size.inputs)];
}

// The way back.
KERNEL(THREADS) linear_turn_back(Linear size, const act* turned, act* x) {
  u64 element = ELEMENT;
  if (element >= (u64)size.samples * size.inputs) return;
  u64 n = element / size.inputs;
  x[n * size.inputs + size.feature(element % size.inputs)] = turned[element];
}

// d_b(o), samples upwards; a thread an output.
KERNEL(THREADS) linear_backward_bias(Linear size, const act* d_y, float* d_bias) {
  u64 o = ELEMENT;
  if (o >= size.outputs) return;
  float sum = 0.0f;
  for (u32 n = 0; n < size.samples; n++) sum += d_y[(u64)n * size.outputs + o];
  d_bias[o] = sum;
}
