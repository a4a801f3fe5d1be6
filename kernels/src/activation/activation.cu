// Activation functions, in place.

// In the order of cuda.rs.
enum Function : u32 { Relu, LeakyRelu, Sigmoid, Tanh, ScaledTanh };

// A and S of LeCun's scaled tanh, A * tanh(S * x).
#define AMPLITUDE 1.7159f
#define STEEPNESS (2.0f / 3.0f)

__device__ float function_of(u32 function, float slope, float x) {
  switch (function) {
    // A NaN stays.
    case Relu: return x < 0.0f ? 0.0f : x;
    case LeakyRelu: return x > 0.0f ? x : slope * x;
    case Sigmoid: return 1.0f / (1.0f + expf(-x));
    case Tanh: return tanhf(x);
    default: return AMPLITUDE * tanhf(STEEPNESS * x);
  }
}

// d_x of d_y, by y = f(x).
__device__ float gradient_of(u32 function, float slope, float y, float d) {
  switch (function) {
    case Relu: return y > 0.0f ? d : 0.0f;
    case LeakyRelu: return y > 0.0f ? d : slope * d;
    case Sigmoid: return d * (y * (1.0f - y));
    case Tanh: return d * (1.0f - y * y);
    // S * (A - y^2 / A)
    default: return d * (STEEPNESS * AMPLITUDE - STEEPNESS / AMPLITUDE * (y * y));
  }
}

KERNEL(THREADS) activation_forward(u32 function, float slope, act* x, u32 len) {
  u64 i = ELEMENT;
  if (i < len) x[i] = function_of(function, slope, x[i]);
}

KERNEL(THREADS) activation_backward(u32 function, float slope, const act* y, act* d, u32 len) {
  u64 i = ELEMENT;
  if (i < len) d[i] = gradient_of(function, slope, y[i], d[i]);
}
