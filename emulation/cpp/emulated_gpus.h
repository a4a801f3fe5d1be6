// The GPUs that the emulated driver and NVML tell of, by the environment. EMULATED_GPU_COUNT of them are in the machine,
// of which CUDA_VISIBLE_DEVICES shows some to the driver, and all to NVML.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace emulated_gpus {

inline size_t number(const char* name, size_t otherwise) {
  const char* value = getenv(name);
  return value ? strtoull(value, nullptr, 10) : otherwise;
}

// What a variable such as "1:90,3:95" plants for a GPU of the machine, here 90 for the second one.
inline size_t planted(const char* name, size_t gpu, size_t otherwise) {
  const char* value = getenv(name);
  while (value && *value) {
    char* rest;
    size_t named = strtoull(value, &rest, 10);
    if (*rest == ':') {
      size_t amount = strtoull(rest + 1, &rest, 10);
      if (named == gpu) return amount;
    }
    value = strchr(rest, ',') ? strchr(rest, ',') + 1 : nullptr;
  }
  return otherwise;
}

inline size_t count() { return number("EMULATED_GPU_COUNT", 4); }

inline std::string bus(size_t gpu) {
  char text[32];
  snprintf(text, sizeof text, "0000:%02zx:00.0", 0x10 + gpu);
  return text;
}

inline std::string uuid(size_t gpu) {
  char text[48];
  snprintf(text, sizeof text, "GPU-%08zx-0000-0000-0000-000000000000", gpu);
  return text;
}

// GPUs of the machine as the driver counts them. The first name of CUDA_VISIBLE_DEVICES that is none ends the list.
inline std::vector<size_t> visible() {
  std::vector<size_t> all;
  const char* names = getenv("CUDA_VISIBLE_DEVICES");
  if (!names) {
    for (size_t gpu = 0; gpu < count(); gpu++) all.push_back(gpu);
    return all;
  }
  for (std::string rest = names; !rest.empty();) {
    std::string name = rest.substr(0, rest.find(','));
    rest = name.size() < rest.size() ? rest.substr(name.size() + 1) : "";
    size_t gpu = 0;
    while (gpu < count() && name != std::to_string(gpu) && name != uuid(gpu)) gpu++;
    if (gpu == count()) break;
    all.push_back(gpu);
  }
  return all;
}

}  // namespace emulated_gpus
