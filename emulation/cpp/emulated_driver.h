// What the emulated libraries ask of the emulated driver, which the process has open.
#pragma once
#include <dlfcn.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace emulated_driver {

template <class Call>
Call call(const char* name) {
  static void* library = dlopen("libcuda.so", RTLD_LAZY | RTLD_NOLOAD);
  void* found = library ? dlsym(library, name) : nullptr;
  if (!found) abort();
  return (Call)found;
}

// Whether memory is a GPU's.
inline bool has(const void* address, size_t bytes) {
  static auto has = call<int (*)(uint64_t, size_t)>("emulated_gpu_has");
  return has((uint64_t)address, bytes) == 0;
}

// Whether a stream of this thread's GPU records: what asks for memory or waits, as the making of a plan may, is refused
// then.
inline bool records() {
  static auto records = call<int (*)()>("emulated_gpu_records");
  return records() != 0;
}

// Work of a stream, which is tried again as long as it gives the driver's NOT_READY. Gives whether the stream takes it.
inline bool later(void* stream, int (*attempt)(void*), void (*drop)(void*), void* data) {
  static auto later = call<int (*)(void*, int (*)(void*), void (*)(void*), void*)>("emulated_gpu_later");
  return later(stream, attempt, drop, data) == 0;
}

// What cuDNN and cuBLASLt have that keeps the rules, in the order in which their heuristics name it, by the environment:
// "2" adds in f32, "3" in f64, which gives other last bits. "2" alone if nothing is said.
inline const char* engines() {
  const char* named = getenv("EMULATED_ENGINES");
  return named ? named : "2";
}

// Whether there is an engine of this number among those.
inline bool has_engine(int64_t number) { return number > 0 && number < 10 && strchr(engines(), char('0' + number)); }

// Has a stream go on as far as it can.
inline void go_on(void* stream) {
  static auto goes_on = call<int (*)(void*)>("emulated_gpu_goes_on");
  goes_on(stream);
}

}  // namespace emulated_driver
