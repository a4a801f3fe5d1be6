// The part of CUDA C++ that the kernels use, on the CPU: a fiber for each thread of a block, one block at a time, threads
// and blocks in random order, so that a missing barrier shows. Not modelled: the memory model, blocks beside each other,
// approximate functions, tensor cores.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x, y, z;
};
struct alignas(16) float4 {
  float x, y, z, w;
};

#define __global__
// Names are told apart by namespaces.
#define KERNEL_LINKAGE static
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(threads)
// One block runs at a time, so a block's memory may be everybody's.
#define __shared__ static

namespace cuda_on_cpu {

extern uint3 thread, block;
extern dim3 threads, blocks;

// Waits until all threads of the block are at the barrier of this line.
void wait_for_block(int line);
// Gives the value of another thread of the warp, once all threads in the mask are there.
uint64_t exchange(unsigned mask, uint64_t value, int source, int line);
int lane();

template <class T>
T shuffle(unsigned mask, T value, int source, int line) {
  static_assert(sizeof(T) <= 8, "a shuffle moves at most 8 bytes");
  uint64_t bits = 0;
  memcpy(&bits, &value, sizeof(T));
  bits = exchange(mask, bits, source, line);
  memcpy(&value, &bits, sizeof(T));
  return value;
}

// A kernel: how it is called with pointers to its arguments, and their bytes.
struct Entry {
  std::string name;
  void (*call)(const void* kernel, void** arguments);
  const void* kernel;
  std::vector<size_t> parameters;
};

template <class... A, size_t... I>
void apply(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
  kernel(*reinterpret_cast<std::remove_reference_t<A>*>(arguments[I])...);
}

template <class... A>
Entry entry(const char* name, void (*kernel)(A...)) {
  auto call = [](const void* kernel, void** arguments) {
    apply(reinterpret_cast<void (*)(A...)>(const_cast<void*>(kernel)), arguments, std::index_sequence_for<A...>{});
  };
  return Entry{name, call, reinterpret_cast<const void*>(kernel), {sizeof(A)...}};
}

// A source file: the hash of its text, and its kernels.
struct Module {
  std::string hash;
  std::vector<Entry> entries;
};

// Runs all blocks of a launch. Gives what is wrong with the kernel, or nothing.
std::string launch(const Entry& entry, dim3 blocks, dim3 threads, void** arguments, unsigned seed);

}  // namespace cuda_on_cpu

#define threadIdx (cuda_on_cpu::thread)
#define blockIdx (cuda_on_cpu::block)
#define blockDim (cuda_on_cpu::threads)
#define gridDim (cuda_on_cpu::blocks)
#define __syncthreads() cuda_on_cpu::wait_for_block(__LINE__)
#define __shfl_sync(mask, value, source) cuda_on_cpu::shuffle(mask, value, source, __LINE__)
#define __shfl_down_sync(mask, value, by) \
  cuda_on_cpu::shuffle(mask, value, cuda_on_cpu::lane() + (int)(by), __LINE__)
#define __shfl_xor_sync(mask, value, by) \
  cuda_on_cpu::shuffle(mask, value, cuda_on_cpu::lane() ^ (int)(by), __LINE__)

inline int min(int a, int b) { return a < b ? a : b; }
inline int max(int a, int b) { return a < b ? b : a; }
inline unsigned min(unsigned a, unsigned b) { return a < b ? a : b; }
inline unsigned max(unsigned a, unsigned b) { return a < b ? b : a; }
inline unsigned long long min(unsigned long long a, unsigned long long b) { return a < b ? a : b; }
inline unsigned long long max(unsigned long long a, unsigned long long b) { return a < b ? b : a; }
inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((uint64_t)a * b >> 32); }
inline unsigned __float_as_uint(float x) {
  unsigned bits;
  memcpy(&bits, &x, 4);
  return bits;
}
inline float __uint_as_float(unsigned bits) {
  float x;
  memcpy(&x, &bits, 4);
  return x;
}
