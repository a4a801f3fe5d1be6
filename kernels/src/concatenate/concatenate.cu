// Concatenation along channels: a thread an element of the part, which is a run of channels at each place of the whole.

// Channels of the part and of the whole, and the part's first among those.
struct Concatenated {
  u32 part, whole, first;

  __device__ u64 in_whole(u32 element) const { return (u64)(element / part) * whole + first + element % part; }
};

KERNEL(THREADS) concatenate_forward(Concatenated size, const act* x, act* y, u32 len) {
  u64 element = ELEMENT;
  if (element < len) y[size.in_whole((u32)element)] = x[element];
}

KERNEL(THREADS) concatenate_backward(Concatenated size, const act* d_y, act* d_x, u32 len) {
  u64 element = ELEMENT;
  if (element < len) d_x[element] = d_y[size.in_whole((u32)element)];
}
