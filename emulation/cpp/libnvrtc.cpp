// An NVRTC that compiles nothing: its machine code is the hash of the text, by which the emulated driver finds the
// kernels that were compiled from the same text.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {
using Result = int;
const Result SUCCESS = 0, INVALID_OPTION = 5;

// FNV-1a, 64 bits.
std::string hash(const std::string& text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (unsigned char byte : text) hash = (hash ^ byte) * 0x100000001b3;
  char digits[17];
  snprintf(digits, sizeof digits, "%016llx", (unsigned long long)hash);
  return digits;
}

struct Program {
  std::string text;
};
}  // namespace

#define CALL extern "C" __attribute__((visibility("default"))) Result

// No real one has this version, so that kept code is not mistaken; EMULATED_NVRTC_VERSION is another major one.
CALL nvrtcVersion(int* major, int* minor) {
  const char* version = getenv("EMULATED_NVRTC_VERSION");
  return *major = version ? atoi(version) : 999, *minor = 0, SUCCESS;
}
CALL nvrtcCreateProgram(void** program, const char* text, const char*, int, const char* const*, const char* const*) {
  return *program = new Program{text}, SUCCESS;
}
CALL nvrtcDestroyProgram(void** program) { return delete (Program*)*program, SUCCESS; }
CALL nvrtcCompileProgram(void*, int count, const char* const* options) {
  for (int i = 0; i < count; i++)
    if (!strncmp(options[i], "--gpu-architecture=sm_9999", 26)) return INVALID_OPTION;
  return SUCCESS;
}
CALL nvrtcGetProgramLogSize(void*, size_t* bytes) { return *bytes = 1, SUCCESS; }
CALL nvrtcGetProgramLog(void*, char* log) { return *log = 0, SUCCESS; }
CALL nvrtcGetCUBINSize(void* program, size_t* bytes) {
  return *bytes = hash(((Program*)program)->text).size() + 1, SUCCESS;
}
CALL nvrtcGetCUBIN(void* program, char* image) {
  return strcpy(image, hash(((Program*)program)->text).c_str()), SUCCESS;
}
