// The step up.

KERNEL(THREADS) perturb(float reciprocal, float scale, const float* gradient, const float* parameters, float* perturbed,
                        u32 len) {
  u64 i = ELEMENT;
  if (i < len) perturbed[i] = parameters[i] + gradient[i] * reciprocal * scale;
}
