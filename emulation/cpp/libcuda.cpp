// A libcuda that runs kernels on the CPU. A stream does nothing until somebody waits for it or asks how it is, so that a
// result which is read too early is seen; memory is bounded, and bytes around each allocation tell who writes beyond it.
#include <sched.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>

#include "cuda_on_cpu.h"
#include "emulated_gpus.h"

namespace cuda_on_cpu {
const std::vector<Module>& modules();
}

namespace {

using cuda_on_cpu::Entry;
using cuda_on_cpu::Module;
using emulated_gpus::number;
using emulated_gpus::visible;
using Result = int;

const Result SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, INVALID_IMAGE = 200, INVALID_HANDLE = 400,
             NOT_FOUND = 500, NOT_READY = 600, LAUNCH_FAILED = 719, RECORDS = 900;
// Of an event that tells no time.
const unsigned DISABLE_TIMING = 2;
const size_t GUARD = 256;
const unsigned char GUARDED = 0xA5;

// A GPU of this process. As with a real one, a context that has failed stays so.
struct Context {
  Result failure = SUCCESS;
  // As the machine counts.
  size_t gpu = 0;
};

// What a stream was asked for while it recorded, which is done each time that the graph is launched.
using Work = std::function<Result()>;
using Recording = std::shared_ptr<std::vector<Work>>;

// Work that gives NOT_READY waits for something outside of this process, and is tried again.
struct Stream {
  Context* context;
  std::deque<Work> work;
  // Work goes here instead between begin and end.
  Recording recording;
};

// How often it was recorded, how many of these its streams have come past, and when the last.
struct Event {
  bool timed;
  Stream* stream = nullptr;
  size_t recorded = 0, passed = 0;
  std::chrono::steady_clock::time_point at{};
};
using Events = std::shared_ptr<Event>;

std::recursive_mutex lock;
std::map<uint64_t, size_t> allocations;
// Of the host: copies from there read it when the stream gets there.
std::map<uint64_t, size_t> page_locked;
std::vector<Stream*> streams;
size_t used;
unsigned launches;
std::set<std::string> launched;
std::map<size_t, Context> contexts;
thread_local Context* current;

size_t total() { return number("EMULATED_GPU_MEMORY", size_t(8) << 30); }

Result fail(const std::string& why) {
  fprintf(stderr, "emulated GPU: %s\n", why.c_str());
  return LAUNCH_FAILED;
}

bool is_inside(uint64_t address, size_t bytes, const std::map<uint64_t, size_t>& memory = allocations) {
  auto next = memory.upper_bound(address);
  if (next == memory.begin()) return false;
  auto [first, size] = *--next;
  return address + bytes <= first + size;
}

bool is_guarded(uint64_t address, size_t size) {
  const unsigned char* before = (const unsigned char*)address - GUARD;
  const unsigned char* behind = (const unsigned char*)address + size;
  for (size_t i = 0; i < GUARD; i++)
    if (before[i] != GUARDED || behind[i] != GUARDED) return false;
  return true;
}

// Does the next thing that a stream was asked for.
Result advance(Stream* stream) {
  Result& failure = stream->context->failure;
  if (failure != SUCCESS) return failure;
  Result result = stream->work.front()();
  if (result == NOT_READY) return NOT_READY;
  stream->work.pop_front();
  return failure = result;
}

// Goes on until a stream has nothing left to do, or can't go on.
Result go_on(Stream* stream) {
  while (!stream->work.empty())
    if (Result result = advance(stream)) return result;
  return stream->context->failure;
}

// Goes on until a stream has come past an event.
Result go_on_to(const Events& event, size_t time) {
  while (event->passed < time)
    if (Result result = advance(event->stream)) return result;
  return SUCCESS;
}

// Tries until something is ready; others may call meanwhile.
template <class Try>
Result wait(Try attempt) {
  Result result;
  while ((result = attempt()) == NOT_READY) {
    lock.unlock();
    sched_yield();
    lock.lock();
  }
  return result;
}

// Whether a stream of this context records: nobody may wait then, or ask for memory or give it back.
bool is_recording() {
  for (Stream* stream : streams)
    if (stream->context == current && stream->recording) return true;
  return false;
}

Result finish(Stream* stream) {
  if (Result result = wait([=] { return go_on(stream); })) return result;
  for (auto [address, size] : allocations)
    if (!is_guarded(address, size)) return stream->context->failure = fail("a kernel has written beyond a buffer");
  return SUCCESS;
}

// Whether the environment has the GPU give no more memory, because EMULATED_GPU_FULL_AFTER names a kernel that was
// launched.
bool is_full() {
  const char* named = getenv("EMULATED_GPU_FULL_AFTER");
  return named && launched.count(named);
}

// Whether this launch is the one that the environment has the GPU fail in: EMULATED_GPU_FAILS_IN names a kernel,
// EMULATED_GPU_FAILS_AT says at which of its launches.
bool is_the_last(const std::string& kernel) {
  static size_t count;
  const char* named = getenv("EMULATED_GPU_FAILS_IN");
  return named && kernel == named && ++count == number("EMULATED_GPU_FAILS_AT", 1);
}

// Whether the environment has the GPU leave this launch out, as one that computes wrongly: EMULATED_GPU_SKIPS=1:5 has GPU
// 1 do so every fifth time.
bool is_skipped(void* stream) {
  size_t every = emulated_gpus::planted("EMULATED_GPU_SKIPS", ((Stream*)stream)->context->gpu, 0);
  return every && launches % every == 0;
}

Result later(void* handle, Work work) {
  Stream* stream = (Stream*)handle;
  Result failure = stream->context->failure;
  if (failure != SUCCESS) return failure;
  if (stream->recording)
    stream->recording->push_back(std::move(work));
  else
    stream->work.push_back(std::move(work));
  return SUCCESS;
}

}  // namespace

#define CALL(name, ...)                                                   \
  extern "C" __attribute__((visibility("default"))) Result name(__VA_ARGS__) { \
    std::lock_guard<std::recursive_mutex> guard(lock);
#define END }

CALL(cuInit, unsigned) return SUCCESS; END
CALL(cuDriverGetVersion, int* version) *version = int(number("EMULATED_GPU_DRIVER", 13000)); return SUCCESS; END
CALL(cuDeviceGetCount, int* count) *count = int(visible().size()); return SUCCESS; END
CALL(cuDeviceGet, int* device, int ordinal) *device = ordinal; return SUCCESS; END
CALL(cuDeviceGetName, char* name, int len, int) snprintf(name, len, "emulated GPU"); return SUCCESS; END
CALL(cuDeviceGetPCIBusId, char* place, int len, int device)
  snprintf(place, len, "%s", emulated_gpus::bus(visible()[device]).c_str());
  return SUCCESS;
END
CALL(cuDeviceTotalMem_v2, size_t* bytes, int) *bytes = total(); return SUCCESS; END
CALL(cuDeviceGetAttribute, int* value, int attribute, int)
  int architecture = int(number("EMULATED_GPU_ARCHITECTURE", 90));
  *value = attribute == 75 ? architecture / 10 : attribute == 76 ? architecture % 10 : 0;
  return SUCCESS;
END
CALL(cuDevicePrimaryCtxRetain, void** out, int device)
  Context& context = contexts[visible()[device]];
  context.gpu = visible()[device];
  *out = &context;
  return SUCCESS;
END
CALL(cuDevicePrimaryCtxRelease_v2, int) return SUCCESS; END
CALL(cuCtxSetCurrent, void* context) current = (Context*)context; return SUCCESS; END
CALL(cuStreamCreate, void** stream, unsigned) streams.push_back(new Stream{current, {}, {}}); *stream = streams.back(); return SUCCESS; END
CALL(cuStreamDestroy_v2, void* stream)
  for (auto place = streams.begin(); place != streams.end(); ++place)
    if (*place == stream) {
      streams.erase(place);
      break;
    }
  delete (Stream*)stream;
  return SUCCESS;
END
CALL(cuStreamSynchronize, void* stream) return is_recording() ? RECORDS : finish((Stream*)stream); END
CALL(cuStreamQuery, void* stream) return go_on((Stream*)stream); END
CALL(cuStreamBeginCapture_v2, void* stream, int)
  if (is_recording()) return RECORDS;
  ((Stream*)stream)->recording = std::make_shared<std::vector<Work>>();
  return SUCCESS;
END
CALL(cuStreamEndCapture, void* stream, void** graph)
  Recording& recording = ((Stream*)stream)->recording;
  if (!recording) return INVALID_VALUE;
  *graph = new Recording(std::move(recording));
  recording.reset();
  return SUCCESS;
END
CALL(cuGraphInstantiateWithFlags, void** executable, void* graph, unsigned long long)
  *executable = new Recording(*(Recording*)graph);
  return SUCCESS;
END
CALL(cuGraphDestroy, void* graph) delete (Recording*)graph; return SUCCESS; END
CALL(cuGraphExecDestroy, void* executable) delete (Recording*)executable; return SUCCESS; END
CALL(cuGraphLaunch, void* executable, void* stream)
  for (const Work& work : **(Recording*)executable)
    if (Result result = later(stream, work)) return result;
  return SUCCESS;
END
CALL(cuStreamWaitEvent, void* stream, void* event, unsigned)
  Events copy = *(Events*)event;
  return later(stream, [copy, time = copy->recorded] { return go_on_to(copy, time); });
END
CALL(cuEventCreate, void** event, unsigned flags)
  *event = new Events(new Event{!(flags & DISABLE_TIMING)});
  return SUCCESS;
END
CALL(cuEventDestroy_v2, void* event) delete (Events*)event; return SUCCESS; END
CALL(cuEventRecord, void* event, void* stream)
  // A real one would have who waits for the event record as well.
  if (((Stream*)stream)->recording) return RECORDS;
  Events copy = *(Events*)event;
  copy->stream = (Stream*)stream;
  return later(stream, [copy, time = ++copy->recorded] {
    copy->passed = time;
    copy->at = std::chrono::steady_clock::now();
    return SUCCESS;
  });
END
CALL(cuEventElapsedTime, float* milliseconds, void* start, void* end)
  const Event &from = **(Events*)start, &to = **(Events*)end;
  if (!from.timed || !to.timed || !from.recorded || !to.recorded) return INVALID_HANDLE;
  if (from.passed < from.recorded || to.passed < to.recorded) return NOT_READY;
  *milliseconds = std::chrono::duration<float, std::milli>(to.at - from.at).count();
  return SUCCESS;
END
CALL(cuEventQuery, void* event)
  Events copy = *(Events*)event;
  return go_on_to(copy, copy->recorded);
END
CALL(cuEventSynchronize, void* event)
  Events copy = *(Events*)event;
  return wait([=] { return go_on_to(copy, copy->recorded); });
END
CALL(cuMemHostAlloc, void** address, size_t bytes, unsigned)
  if (is_recording()) return RECORDS;
  if (is_full()) return OUT_OF_MEMORY;
  *address = malloc(bytes);
  if (!*address) return OUT_OF_MEMORY;
  page_locked[(uint64_t)*address] = bytes;
  return SUCCESS;
END
CALL(cuMemFreeHost, void* address)
  if (!page_locked.erase((uint64_t)address)) return INVALID_VALUE;
  free(address);
  return SUCCESS;
END
// For the emulated libraries: work that may have to be tried again, whether memory is the GPU's, and whether it records.
CALL(emulated_gpu_later, void* stream, Result (*attempt)(void*), void (*drop)(void*), void* data)
  std::shared_ptr<void> owned(data, drop);
  return later(stream, [=] { return attempt(owned.get()); });
END
// Streams with such work go on by themselves, as all of a real GPU's do: other processes wait for it.
CALL(emulated_gpu_goes_on, void* stream)
  for (Stream* known : streams)
    if (known == stream) return go_on(known);
  return SUCCESS;
END
CALL(emulated_gpu_has, uint64_t address, size_t bytes) return is_inside(address, bytes) ? SUCCESS : INVALID_VALUE; END
CALL(emulated_gpu_records, void) return is_recording() ? RECORDS : SUCCESS; END
CALL(cuMemGetInfo_v2, size_t* free, size_t* all) *all = total(); *free = total() - used; return SUCCESS; END
CALL(cuMemAlloc_v2, uint64_t* address, size_t bytes)
  if (is_recording()) return RECORDS;
  if (bytes > total() - used || is_full()) return OUT_OF_MEMORY;
  size_t padded = (bytes + 2 * GUARD + 255) / 256 * 256;
  char* memory = (char*)aligned_alloc(256, padded);
  if (!memory) return OUT_OF_MEMORY;
  memset(memory, GUARDED, padded);
  *address = (uint64_t)(memory + GUARD);
  allocations[*address] = bytes;
  used += bytes;
  return SUCCESS;
END
CALL(cuMemFree_v2, uint64_t address)
  if (is_recording()) return RECORDS;
  auto all = streams;
  for (Stream* stream : all)
    if (stream->context == current) finish(stream);
  auto found = allocations.find(address);
  if (found == allocations.end()) return INVALID_VALUE;
  used -= found->second;
  free((char*)address - GUARD);
  allocations.erase(found);
  return current->failure;
END
CALL(cuMemsetD8Async, uint64_t to, unsigned char value, size_t len, void* stream)
  if (!is_inside(to, len)) return INVALID_VALUE;
  return later(stream, [=] { memset((void*)to, value, len); return SUCCESS; });
END
CALL(cuMemsetD32Async, uint64_t to, unsigned value, size_t len, void* stream)
  if (!is_inside(to, 4 * len)) return INVALID_VALUE;
  return later(stream, [=] { for (size_t i = 0; i < len; i++) ((unsigned*)to)[i] = value; return SUCCESS; });
END
CALL(cuMemcpyHtoDAsync_v2, uint64_t to, const void* from, size_t bytes, void* stream)
  if (!is_inside(to, bytes)) return INVALID_VALUE;
  if (is_inside((uint64_t)from, bytes, page_locked))
    return later(stream, [=] { memcpy((void*)to, from, bytes); return SUCCESS; });
  if (((Stream*)stream)->recording) return RECORDS;
  std::string copy((const char*)from, bytes);
  return later(stream, [=] { memcpy((void*)to, copy.data(), bytes); return SUCCESS; });
END
CALL(cuMemcpyDtoHAsync_v2, void* to, uint64_t from, size_t bytes, void* stream)
  if (!is_inside(from, bytes)) return INVALID_VALUE;
  if (((Stream*)stream)->recording) return RECORDS;
  return later(stream, [=] { memcpy(to, (const void*)from, bytes); return SUCCESS; });
END
CALL(cuMemcpyDtoDAsync_v2, uint64_t to, uint64_t from, size_t bytes, void* stream)
  if (!is_inside(from, bytes) || !is_inside(to, bytes)) return INVALID_VALUE;
  return later(stream, [=] { memmove((void*)to, (const void*)from, bytes); return SUCCESS; });
END
CALL(cuModuleLoadData, void** module, const void* image)
  for (const Module& known : cuda_on_cpu::modules())
    if (!strcmp((const char*)image, known.hash.c_str())) {
      *module = (void*)&known;
      return SUCCESS;
    }
  return INVALID_IMAGE;
END
CALL(cuModuleUnload, void*) return SUCCESS; END
CALL(cuModuleGetFunction, void** function, void* module, const char* name)
  for (const Entry& entry : ((const Module*)module)->entries)
    if (entry.name == name) {
      *function = (void*)&entry;
      return SUCCESS;
    }
  return NOT_FOUND;
END
CALL(cuFuncGetParamInfo, void* function, size_t index, size_t* offset, size_t* bytes)
  const Entry& entry = *(const Entry*)function;
  if (index >= entry.parameters.size()) return INVALID_VALUE;
  *offset = 0;
  *bytes = entry.parameters[index];
  return SUCCESS;
END
CALL(cuLaunchKernel, void* function, unsigned x, unsigned y, unsigned z, unsigned tx, unsigned ty, unsigned tz, unsigned,
     void* stream, void** arguments, void**)
  const Entry& entry = *(const Entry*)function;
  if (x == 0 || y == 0 || z == 0 || y > 65535 || z > 65535 || tx * ty * tz > 1024) return INVALID_VALUE;
  std::vector<std::string> copies;
  for (size_t i = 0; i < entry.parameters.size(); i++)
    copies.emplace_back((const char*)arguments[i], entry.parameters[i]);
  launched.insert(entry.name);
  return later(stream, [=]() mutable {
    unsigned seed = unsigned(number("EMULATED_GPU_SEED", 1)) + ++launches;
    if (is_the_last(entry.name)) return fail(entry.name + ": the GPU has fallen off the bus");
    if (is_skipped(stream)) return SUCCESS;
    std::vector<void*> places;
    for (std::string& copy : copies) places.push_back(copy.data());
    std::string wrong = cuda_on_cpu::launch(entry, dim3{x, y, z}, dim3{tx, ty, tz}, places.data(), seed);
    return wrong.empty() ? SUCCESS : fail(wrong);
  });
END
CALL(cuGetErrorName, int error, const char** name)
  switch (error) {
    case SUCCESS: *name = "CUDA_SUCCESS"; break;
    case INVALID_VALUE: *name = "CUDA_ERROR_INVALID_VALUE"; break;
    case OUT_OF_MEMORY: *name = "CUDA_ERROR_OUT_OF_MEMORY"; break;
    case INVALID_IMAGE: *name = "CUDA_ERROR_INVALID_IMAGE"; break;
    case INVALID_HANDLE: *name = "CUDA_ERROR_INVALID_HANDLE"; break;
    case NOT_FOUND: *name = "CUDA_ERROR_NOT_FOUND"; break;
    case NOT_READY: *name = "CUDA_ERROR_NOT_READY"; break;
    case RECORDS: *name = "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"; break;
    case LAUNCH_FAILED: *name = "CUDA_ERROR_LAUNCH_FAILED"; break;
    default: *name = "CUDA_ERROR_UNKNOWN";
  }
  return SUCCESS;
END
CALL(cuGetErrorString, int, const char** text) *text = "of the emulated GPU"; return SUCCESS; END
