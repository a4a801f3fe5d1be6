// An NVML that tells of the emulated GPUs what the environment plants: EMULATED_GPU_TEMPERATURE and
// EMULATED_GPU_ECC_ERRORS (as "1:90,3:95", see emulated_gpus.h). In use is EMULATED_GPU_MEMORY_USED of each one's memory.
#include <algorithm>

#include "emulated_gpus.h"

namespace {
using namespace emulated_gpus;
using Result = int;
using Device = size_t*;
const Result SUCCESS = 0, UNINITIALIZED = 1, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7,
             DRIVER_NOT_LOADED = 9;

int opened;

Result write(const std::string& from, char* to, unsigned len) {
  if (from.size() >= len) return INSUFFICIENT_SIZE;
  return strcpy(to, from.c_str()), SUCCESS;
}

// A handle points to the number of a GPU.
Device handle(size_t gpu) {
  static size_t numbers[64];
  numbers[gpu] = gpu;
  return &numbers[gpu];
}
}  // namespace

#define CALL extern "C" __attribute__((visibility("default"))) Result

CALL nvmlInit_v2() {
  if (getenv("EMULATED_NVML_FAILS")) return DRIVER_NOT_LOADED;
  return opened++, SUCCESS;
}
CALL nvmlShutdown() { return opened ? (opened--, SUCCESS) : UNINITIALIZED; }
CALL nvmlSystemGetDriverVersion(char* text, unsigned len) { return write("999.00", text, len); }
CALL nvmlSystemGetNVMLVersion(char* text, unsigned len) { return write("13.999.00", text, len); }
CALL nvmlDeviceGetHandleByPciBusId_v2(const char* place, Device* device) {
  if (!opened) return UNINITIALIZED;
  for (size_t gpu = 0; gpu < count() && gpu < 64; gpu++)
    if (bus(gpu) == place) return *device = handle(gpu), SUCCESS;
  return NOT_FOUND;
}
CALL nvmlDeviceGetUUID(Device device, char* text, unsigned len) { return write(uuid(*device), text, len); }
CALL nvmlDeviceGetMemoryInfo(Device, unsigned long long* memory) {
  memory[0] = number("EMULATED_GPU_MEMORY", size_t(8) << 30);
  memory[2] = std::min(memory[0], (unsigned long long)number("EMULATED_GPU_MEMORY_USED", size_t(1) << 30));
  memory[1] = memory[0] - memory[2];
  return SUCCESS;
}
CALL nvmlDeviceGetTemperature(Device device, unsigned, unsigned* degrees) {
  return *degrees = unsigned(planted("EMULATED_GPU_TEMPERATURE", *device, 30)), SUCCESS;
}
CALL nvmlDeviceGetTotalEccErrors(Device device, unsigned kind, unsigned since, unsigned long long* errors) {
  if (kind != 1 || since != 0) return NOT_SUPPORTED;
  return *errors = planted("EMULATED_GPU_ECC_ERRORS", *device, 0), SUCCESS;
}
CALL nvmlDeviceGetRemappedRows(Device, unsigned*, unsigned*, unsigned*, unsigned*) { return NOT_SUPPORTED; }
extern "C" __attribute__((visibility("default"))) const char* nvmlErrorString(Result code) {
  switch (code) {
    case UNINITIALIZED: return "Uninitialized";
    case NOT_FOUND: return "Not Found";
    case DRIVER_NOT_LOADED: return "Driver Not Loaded";
    default: return "Unknown Error";
  }
}
