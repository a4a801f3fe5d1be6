// Updates: a thread an element, every operation rounded by itself. Constants are of the host.

enum Decay : u32 { NONE, COUPLED, DECOUPLED };

// From the sum to the gradient, and what the decay multiplies parameters by.
struct Step {
  float reciprocal, factor, limit;
  Decay decay;
  float shrink;
};

// An element's gradient and parameter behind both.
struct Operands {
  float g, w;
};

__device__ inline Operands operands(const Step& step, float sum, float w) {
  float g = sum * step.reciprocal * step.factor;
  // Not fminf and fmaxf, which would hide a NaN.
  g = step.limit < g ? step.limit : g;
  g = -step.limit > g ? -step.limit : g;
  if (step.decay == COUPLED) g += step.shrink * w;
  if (step.decay == DECOUPLED) w *= step.shrink;
  return Operands{g, w};
}

struct Sgd {
  float rate, momentum, kept;
  u32 nesterov;
};

KERNEL(THREADS) optimizer_sgd(Step step, Sgd rule, const float* gradient, float* parameters, float* velocity, u32 len) {
  u64 i = ELEMENT;
  if (i >= len) return;
  Operands at = operands(step, gradient[i], parameters[i]);
  float direction = at.g;
  if (rule.momentum > 0.0f) {
    float v = rule.momentum * velocity[i] + rule.kept * at.g;
    velocity[i] = v;
    direction = rule.nesterov ? at.g + rule.momentum * v : v;
  }
  parameters[i] = at.w - rule.rate * direction;
}

struct Adagrad {
  float rate, epsilon;
};

KERNEL(THREADS) optimizer_adagrad(Step step, Adagrad rule, const float* gradient, float* parameters, float* squares,
                                  u32 len) {
  u64 i = ELEMENT;
  if (i >= len) return;
  Operands at = operands(step, gradient[i], parameters[i]);
  float sum = squares[i] + at.g * at.g;
  squares[i] = sum;
  parameters[i] = at.w - rule.rate * at.g / (sqrtf(sum) + rule.epsilon);
}

struct Rmsprop {
  float rate, alpha, rest, epsilon, momentum;
};

// `means` are null where they are not taken off.
KERNEL(THREADS) optimizer_rmsprop(Step step, Rmsprop rule, const float* gradient, float* parameters, float* squares,
                                  float* means, float* velocity, u32 len) {
  u64 i = ELEMENT;
  if (i >= len) return;
  Operands at = operands(step, gradient[i], parameters[i]);
  float spread = squares[i] * rule.alpha + rule.rest * at.g * at.g;
  squares[i] = spread;
  if (means) {
    float mean = interpolate(rule.rest, means[i], at.g);
    means[i] = mean;
    spread -= mean * mean;
    spread = 0.0f > spread ? 0.0f : spread;
  }
  float root = sqrtf(spread) + rule.epsilon;
  if (rule.momentum > 0.0f) {
    float v = rule.momentum * velocity[i] + at.g / root;
    velocity[i] = v;
    parameters[i] = at.w - rule.rate * v;
  } else {
    parameters[i] = at.w - rule.rate * at.g / root;
  }
}

// The moving averages of gradients, m, and of squares, v.
struct Moments {
  float rest1, beta2, rest2;

  __device__ float first(float m, float g) const { return interpolate(rest1, m, g); }
  __device__ float second(float v, float g) const { return v * beta2 + rest2 * g * g; }
};

struct Adam {
  float rate, root_correction, epsilon;
  Moments moments;
};

KERNEL(THREADS) optimizer_adam(Step step, Adam rule, const float* gradient, float* parameters, float* first,
                               float* second, u32 len) {
  u64 i = ELEMENT;
  if (i >= len) return;
  Operands at = operands(step, gradient[i], parameters[i]);
  float m = rule.moments.first(first[i], at.g), v = rule.moments.second(second[i], at.g);
  first[i] = m;
  second[i] = v;
  parameters[i] = at.w - rule.rate * m / (sqrtf(v) / rule.root_correction + rule.epsilon);
}

struct Lars {
  float rate, momentum;
};

// `velocity` is null without momentum.
KERNEL(THREADS) optimizer_lars(Step step, Lars rule, const float* gradient, float* parameters, float* velocity,
                               u32 len) {
  u64 i = ELEMENT;
  if (i >= len) return;
  Operands at = operands(step, gradient[i], parameters[i]);
  float v = rule.momentum * (velocity ? velocity[i] : 0.0f) + rule.rate * at.g;
  if (velocity) velocity[i] = v;
  parameters[i] = at.w - v;
}

struct Lamb {
  float correction, root_correction, epsilon, decay;
  Moments moments;
};

// Parameters stay.
KERNEL(THREADS) optimizer_lamb(Step step, Lamb rule, const float* gradient, const float* parameters, float* first,
                               float* second, float* direction, u32 len) {
  u64 i = ELEMENT;
  if (i >= len) return;
  Operands at = operands(step, gradient[i], parameters[i]);
  float m = rule.moments.first(first[i], at.g), v = rule.moments.second(second[i], at.g);
  first[i] = m;
  second[i] = v;
  float root = sqrtf(v) / rule.root_correction + rule.epsilon;
  direction[i] = m / rule.correction / root + rule.decay * at.w;
}

struct Diagonal {
  float rate, mu;
};

// The second derivatives stay.
KERNEL(THREADS) optimizer_diagonal(Step step, Diagonal rule, const float* gradient, float* parameters,
                                   const float* curvature, u32 len) {
  u64 i = ELEMENT;
  if (i >= len) return;
  Operands at = operands(step, gradient[i], parameters[i]);
  parameters[i] = at.w - rule.rate / (rule.mu + curvature[i]) * at.g;
}

KERNEL(THREADS) optimizer_descend(float rate, const float* direction, float* parameters, u32 len) {
  u64 i = ELEMENT;
  if (i < len) parameters[i] -= rate * direction[i];
}
