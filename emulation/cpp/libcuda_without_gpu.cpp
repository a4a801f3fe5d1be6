// A libcuda that finds no GPU and takes any machine code: cuDNN compiles kernels at run time only where a driver loads
// what comes of it.
static int taken;

#define ANSWER(name, answer, ...) \
  extern "C" __attribute__((visibility("default"))) int name(__VA_ARGS__) { answer; }
// Symbols that cuDNN looks for and has no use for without a GPU.
#define UNUSED(name) ANSWER(name, return 999)

ANSWER(cuInit, return 100, unsigned)
ANSWER(cuDriverGetVersion, *version = 13000; return 0, int* version)
ANSWER(cuLibraryLoadData, *library = &taken; return 0, void** library)
ANSWER(cuLibraryGetKernel, *kernel = &taken; return 0, void** kernel)
ANSWER(cuLibraryUnload, return 0)
ANSWER(cuKernelGetAttribute, *value = 0; return 0, int* value)
ANSWER(cuKernelSetAttribute, return 0)
ANSWER(cuGetErrorName, *name = "no GPU"; return 0, int, const char** name)
ANSWER(cuGetErrorString, *text = "there is no GPU"; return 0, int, const char** text)
UNUSED(cuCtxGetCurrent)
UNUSED(cuCtxGetLimit)
UNUSED(cuCtxPopCurrent)
UNUSED(cuCtxPushCurrent)
UNUSED(cuDeviceGet)
UNUSED(cuDeviceGetCount)
UNUSED(cuLaunchCooperativeKernel)
UNUSED(cuLaunchKernel)
UNUSED(cuLaunchKernelEx)
UNUSED(cuLibraryLoadFromFile)
UNUSED(cuLinkAddData)
UNUSED(cuLinkComplete)
UNUSED(cuLinkCreate)
UNUSED(cuLinkDestroy)
UNUSED(cuOccupancyMaxPotentialClusterSize)
UNUSED(cuStreamGetCtx)
