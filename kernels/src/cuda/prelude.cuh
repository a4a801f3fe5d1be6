// What all kernels begin with. The same text is compiled by NVRTC and, in tests, by a C++ compiler over an emulation.
//
// Activations are `act`, in [N][H*W][C]: `float`, or `bf16` where BF16_ACTIVATIONS is defined. Kernels compute in
// `float` either way, and parameters, statistics and sums are that. Compiled without contraction: a product and a sum
// are rounded one by one unless fmaf says otherwise.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

// The upper half of an f32, rounded to nearest, ties to even; a NaN stays one.
__device__ __forceinline__ u16 bf16_bits(float x) {
#ifdef __CUDA_ARCH__
  u16 bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
  return bits;
#else
  u32 bits = __float_as_uint(x);
  return x != x ? 0x7fff : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
#endif
}

struct bf16 {
  u16 bits;

  __device__ __forceinline__ operator float() const { return __uint_as_float((u32)bits << 16); }
  __device__ __forceinline__ bf16& operator=(float x) {
    bits = bf16_bits(x);
    return *this;
  }
};

#ifdef BF16_ACTIVATIONS
typedef bf16 act;
#else
typedef float act;
#endif

// A kernel of at most so many threads a block; its name stands on the same line. An emulation has several texts with the
// same names in one library.
#ifndef KERNEL_LINKAGE
#define KERNEL_LINKAGE extern "C"
#endif
#define KERNEL(threads) KERNEL_LINKAGE __global__ void __launch_bounds__(threads)

#define THREADS 256
#define WARP 32

// This thread among all of the grid: one an element.
#define ELEMENT (blockIdx.x * (u64)blockDim.x + threadIdx.x)

// Where an element of an activation with rows and columns lies.
struct PlaneElement {
  u32 n, row, column, channel;

  __device__ PlaneElement(u32 element, u32 channels, u32 height, u32 width) {
    channel = element % channels;
    u32 place = element / channels;
    column = place % width;
    row = place / width % height;
    n = place / width / height;
  }
};

// Sum over a warp, the same for all lanes. Always the same tree: halves 16 apart are added, then 8, 4, 2 and 1.
template <class T>
__device__ T warp_sum(T value) {
  for (u32 distance = WARP / 2; distance > 0; distance /= 2) value += __shfl_xor_sync(~0u, value, distance);
  return value;
}

// Sum over the threads of a block of THREADS, the same for all of them; `shared` holds THREADS values. Always the same
// tree: neighbours at half the distance each time.
template <class T>
__device__ T block_sum(T value, T* shared) {
  shared[threadIdx.x] = value;
  __syncthreads();
  for (u32 half = THREADS / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
    __syncthreads();
  }
  T sum = shared[0];
  __syncthreads();
  return sum;
}

// Sum of numbers in their order, for thread 0 of a block of THREADS; `tile` is shared and holds THREADS values.
__device__ inline double ordered_sum(const double* values, u32 count, double* tile) {
  double sum = 0.0;
  for (u32 first = 0; first < count; first += THREADS) {
    u32 terms = min(count - first, (u32)THREADS);
    if (threadIdx.x < terms) tile[threadIdx.x] = values[first + threadIdx.x];
    __syncthreads();
    if (threadIdx.x == 0)
      for (u32 i = 0; i < terms; i++) sum += tile[i];
    __syncthreads();
  }
  return sum;
}
