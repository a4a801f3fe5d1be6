// A cuDNN's graph API as far as convolutions in f32 and bf16 go, on an emulated GPU. Of the engines that its heuristics name
// the first adds in changing orders and the second uses tensor cores; `engines` tells of the others.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bf16.h"
#include "emulated_driver.h"

// Loops over channels in vectors.
#pragma GCC optimize("O3")

namespace {

using Result = int;
const Result SUCCESS = 0, BAD_PARAM = 2000, NOT_SUPPORTED = 3000, EXECUTION_FAILED = 5000;

// Kinds of descriptors and names of attributes, as cudnn_graph.h numbers them.
enum {
  CONVOLUTION = 1, ENGINE = 2, CONFIG = 3, HEURISTICS = 4, PLAN = 5, KNOB_CHOICE = 7, FORWARD = 10,
  BACKWARD_FILTER = 11, BACKWARD_DATA = 12, POINTWISE_OPERATION = 13, GRAPH = 15, PACK = 16, TENSOR = 17
};
enum {
  POINTWISE_MODE = 0, POINTWISE_NAN = 2, DILATIONS = 102, STRIDES = 103, POST_PADDINGS = 104, PRE_PADDINGS = 105,
  HEURISTICS_GRAPH = 201, RESULTS = 202, CONFIG_ENGINE = 300, CONFIG_KNOBS = 302, PLAN_CONFIG = 401,
  PLAN_WORKSPACE = 402, KNOB_TYPE = 600, KNOB_VALUE = 601, FORWARD_ALPHA = 700, DATA_ALPHA = 706, FILTER_ALPHA = 712,
  POINTWISE_FORMULA = 750, POINTWISE_X = 751, POINTWISE_B = 752, POINTWISE_Y = 753, OPERATIONS = 801, DATA_TYPE = 901,
  DIMENSIONS = 902, TENSOR_STRIDES = 903, UNIQUE_ID = 906, IS_VIRTUAL = 907, PACK_IDS = 1000, PACK_POINTERS = 1001,
  PACK_WORKSPACE = 1003, ENGINE_GRAPH = 1300, ENGINE_INDEX = 1301, ENGINE_NOTES = 1303
};
enum { TYPE_BOOLEAN = 2, TYPE_INT64 = 3, TYPE_DOUBLE = 5, TYPE_VOID = 6, TYPE_DESCRIPTOR = 15, TYPE_CHAR = 24 };
enum { NOTE_TENSOR_CORE = 0, NOTE_NONDETERMINISTIC = 4 };
const int F32 = 0, BF16 = 9;
const int ADD = 0, RELU = 100;
const int64_t WORKSPACE = 1000, KNOB = 2, IN_F64 = 3;

thread_local char last_error[256];

Result fail(Result code, const char* why) {
  snprintf(last_error, sizeof last_error, "%s", why);
  return code;
}

size_t bytes_of(int type) {
  switch (type) {
    case TYPE_BOOLEAN: case TYPE_CHAR: return 1;
    case 0: case TYPE_INT64: case TYPE_DOUBLE: case TYPE_VOID: case TYPE_DESCRIPTOR: return 8;
    default: return 4;
  }
}

struct Descriptor {
  int kind;
  bool is_final = false;
  std::map<int, std::vector<char>> values;

  template <class T>
  std::vector<T> all(int name) const {
    auto found = values.find(name);
    if (found == values.end()) return {};
    std::vector<T> elements(found->second.size() / sizeof(T));
    memcpy(elements.data(), found->second.data(), elements.size() * sizeof(T));
    return elements;
  }
  template <class T>
  T one(int name, T otherwise = T()) const {
    auto elements = all<T>(name);
    return elements.empty() ? otherwise : elements[0];
  }
  const Descriptor* part(int name) const { return one<const Descriptor*>(name, nullptr); }

  template <class T>
  void set(int name, std::vector<T> elements) {
    const char* bytes = (const char*)elements.data();
    values[name] = std::vector<char>(bytes, bytes + elements.size() * sizeof(T));
  }
};

// A tensor of the order (N, C, H, W).
struct Tensor {
  int64_t id, sizes[4], strides[4];
  bool is_virtual, is_narrow;

  explicit Tensor(const Descriptor* from)
      : id(from->one<int64_t>(UNIQUE_ID)),
        is_virtual(from->one<char>(IS_VIRTUAL) != 0),
        is_narrow(from->one<int>(DATA_TYPE) == BF16) {
    auto dimensions = from->all<int64_t>(DIMENSIONS), steps = from->all<int64_t>(TENSOR_STRIDES);
    for (int i = 0; i < 4; i++) sizes[i] = dimensions[i], strides[i] = steps[i];
  }
  int64_t len() const {
    int64_t last = 0;
    for (int i = 0; i < 4; i++) last += (sizes[i] - 1) * strides[i];
    return last + 1;
  }
  size_t bytes() const { return size_t(len()) * (is_narrow ? 2 : 4); }
  // Sizes of 1 are there for all.
  int64_t at(int64_t n, int64_t c, int64_t h, int64_t w) const {
    int64_t places[4] = {n, c, h, w}, sum = 0;
    for (int i = 0; i < 4; i++) sum += sizes[i] == 1 ? 0 : places[i] * strides[i];
    return sum;
  }
  Tensor with_channels_side_by_side() const {
    Tensor turned = *this;
    turned.strides[1] = 1;
    turned.strides[3] = sizes[1];
    turned.strides[2] = sizes[3] * turned.strides[3];
    turned.strides[0] = sizes[2] * turned.strides[2];
    return turned;
  }
};

using Memory = std::map<int64_t, float*>;
using Step = std::function<void(const Memory&)>;

struct Work {
  std::vector<Tensor> tensors;
  std::vector<Step> steps;
};

struct Windows {
  int64_t stride, padding, dilation;
};

// Calls `each` for every element of y and window element with the places in x, w and y of their products: as many as a
// group has inputs, side by side in x and w, with one place in y.
template <class Each>
void products(const Tensor& x, const Tensor& w, const Tensor& y, const Windows& by, const Each& each) {
  int64_t inputs = w.sizes[1], outputs = w.sizes[0] / (x.sizes[1] / inputs);
  for (int64_t n = 0; n < y.sizes[0]; n++)
    for (int64_t i = 0; i < y.sizes[2]; i++)
      for (int64_t j = 0; j < y.sizes[3]; j++)
        for (int64_t u = 0; u < w.sizes[2]; u++)
          for (int64_t v = 0; v < w.sizes[3]; v++) {
            int64_t h = i * by.stride + u * by.dilation - by.padding, k = j * by.stride + v * by.dilation - by.padding;
            if (h < 0 || h >= x.sizes[2] || k < 0 || k >= x.sizes[3]) continue;
            int64_t of_x = x.at(n, 0, h, k), of_w = w.at(0, 0, u, v), of_y = y.at(n, 0, i, j);
            for (int64_t o = 0; o < w.sizes[0]; o++)
              each(of_x + o / outputs * inputs, of_w + o * w.strides[0], of_y + o * y.strides[1]);
          }
}

// Eight sums, of which none waits for another.
template <class Sum>
Sum dot(const float* a, const float* b, int64_t len) {
  Sum sums[8] = {}, sum = 0;
  int64_t whole = len / 8 * 8;
  for (int64_t c = 0; c < whole; c += 8)
    for (int64_t lane = 0; lane < 8; lane++) sums[lane] += Sum(a[c + lane]) * b[c + lane];
  for (int64_t c = whole; c < len; c++) sum += Sum(a[c]) * b[c];
  for (Sum part : sums) sum += part;
  return sum;
}

template <class Sum>
void add_times(Sum* to, const float* values, Sum by, int64_t len) {
  for (int64_t c = 0; c < len; c++) to[c] += values[c] * by;
}

template <class Each>
void elements(const Tensor& of, const Each& each) {
  for (int64_t n = 0; n < of.sizes[0]; n++)
    for (int64_t c = 0; c < of.sizes[1]; c++)
      for (int64_t h = 0; h < of.sizes[2]; h++)
        for (int64_t w = 0; w < of.sizes[3]; w++) each(n, c, h, w);
}

// Writes alpha = 1 times the products' sums, and beta times what was there, for all elements of an operand. Channels
// lie side by side in x and, for the while, in w. Adds in `Sum`.
template <class Sum>
Step convolution(int kind, const Tensor& x, const Tensor& w, const Tensor& y, Windows by, float beta) {
  return [=](const Memory& memory) {
    float *of_x = memory.at(x.id), *of_w = memory.at(w.id), *of_y = memory.at(y.id);
    Tensor turned = w.with_channels_side_by_side();
    std::vector<float> weights(size_t(turned.len()));
    elements(w, [&](auto... place) { weights[turned.at(place...)] = of_w[w.at(place...)]; });
    const Tensor& to = kind == FORWARD ? y : kind == BACKWARD_DATA ? x : w;
    const Tensor& summed = kind == BACKWARD_FILTER ? turned : to;
    std::vector<Sum> sums(size_t(summed.len()), Sum(0));
    Sum* sum = sums.data();
    float* by_w = weights.data();
    int64_t inputs = w.sizes[1];
    if (kind == FORWARD)
      products(x, turned, y, by, [=](int64_t i, int64_t j, int64_t k) { sum[k] += dot<Sum>(of_x + i, by_w + j, inputs); });
    else if (kind == BACKWARD_DATA)
      products(x, turned, y, by, [=](int64_t i, int64_t j, int64_t k) { add_times<Sum>(sum + i, by_w + j, of_y[k], inputs); });
    else
      products(x, turned, y, by, [=](int64_t i, int64_t j, int64_t k) { add_times<Sum>(sum + j, of_x + i, of_y[k], inputs); });
    float* out = memory.at(to.id);
    elements(to, [&](auto... place) {
      float& element = out[to.at(place...)];
      Sum sum = sums[summed.at(place...)];
      element = float(beta == 0.0f ? sum : sum + beta * element);
    });
  };
}

// A relu makes 0 of a NaN unless it was told to `keep` it.
Step pointwise(int mode, bool keep, const Tensor& x, const Tensor& b, const Tensor& y) {
  return [=](const Memory& memory) {
    const float *of_x = memory.at(x.id), *of_b = memory.at(b.id);
    float* of_y = memory.at(y.id);
    elements(y, [&](auto... place) {
      float value = of_x[x.at(place...)];
      bool is_kept = value > 0.0f || (keep && value != value);
      of_y[y.at(place...)] = mode == ADD ? value + of_b[b.at(place...)] : is_kept ? value : 0.0f;
    });
  };
}

// An operation's attributes come in the same order for each direction, X, W and Y behind one another.
bool add_convolution(Work& work, const Descriptor* operation, int64_t engine) {
  int first = operation->kind == FORWARD ? FORWARD_ALPHA : operation->kind == BACKWARD_DATA ? DATA_ALPHA : FILTER_ALPHA;
  // Of alpha: beta, description, then (W, X, Y), (W, dX, dY) or (dW, X, dY).
  const Descriptor *by = operation->part(first + 2), *w = operation->part(first + 3), *x = operation->part(first + 4),
                   *y = operation->part(first + 5);
  if (!by || !w || !x || !y || operation->one<float>(first) != 1.0f) return false;
  auto strides = by->all<int64_t>(STRIDES), before = by->all<int64_t>(PRE_PADDINGS),
       behind = by->all<int64_t>(POST_PADDINGS), dilations = by->all<int64_t>(DILATIONS);
  for (auto* pair : {&strides, &before, &behind, &dilations})
    if (pair->size() != 2 || (*pair)[0] != (*pair)[1]) return false;
  Windows windows{strides[0], before[0], dilations[0]};
  if (Tensor(x).strides[1] != 1) return false;
  auto made = engine == IN_F64 ? convolution<double> : convolution<float>;
  work.steps.push_back(made(operation->kind, Tensor(x), Tensor(w), Tensor(y), windows, operation->one<float>(first + 1)));
  for (const Descriptor* tensor : {x, w, y}) work.tensors.emplace_back(tensor);
  return before == behind;
}

bool add_pointwise(Work& work, const Descriptor* operation) {
  const Descriptor *formula = operation->part(POINTWISE_FORMULA), *x = operation->part(POINTWISE_X),
                   *b = operation->part(POINTWISE_B), *y = operation->part(POINTWISE_Y);
  int mode = formula ? formula->one<int>(POINTWISE_MODE, -1) : -1;
  if (!x || !y || (mode != RELU && (mode != ADD || !b))) return false;
  bool keep = formula->one<int>(POINTWISE_NAN);
  work.steps.push_back(pointwise(mode, keep, Tensor(x), Tensor(b ? b : x), Tensor(y)));
  for (const Descriptor* tensor : {x, b ? b : x, y}) work.tensors.emplace_back(tensor);
  return true;
}

bool understood(const Descriptor* graph, int64_t engine, Work& work) {
  auto operations = graph->all<const Descriptor*>(OPERATIONS);
  for (const Descriptor* operation : operations)
    if (operation->kind == POINTWISE_OPERATION ? !add_pointwise(work, operation)
                                               : !add_convolution(work, operation, engine))
      return false;
  return !operations.empty();
}

struct Run {
  Work work;
  // Where the operands are, of f32 or bf16.
  std::map<int64_t, void*> operands;

  // Of bf16 and between operations there are numbers in f32 meanwhile.
  void compute() {
    Memory memory;
    std::vector<std::vector<float>> meanwhile;
    for (const Tensor& tensor : work.tensors) {
      if (memory.count(tensor.id)) continue;
      if (!tensor.is_virtual && !tensor.is_narrow) {
        memory[tensor.id] = (float*)operands[tensor.id];
        continue;
      }
      meanwhile.emplace_back(size_t(tensor.len()));
      memory[tensor.id] = meanwhile.back().data();
      if (tensor.is_narrow) bf16::widen((uint16_t*)operands[tensor.id], meanwhile.back());
    }
    for (const Step& step : work.steps) step(memory);
    for (const Tensor& tensor : work.tensors)
      if (tensor.is_narrow) bf16::narrow(memory[tensor.id], tensor.len(), (uint16_t*)operands[tensor.id]);
  }
};

struct Handle {
  void* stream = nullptr;
};

// A plan's, if it is whole.
const Descriptor* engine_of(const Descriptor* plan) {
  const Descriptor* config = plan->part(PLAN_CONFIG);
  const Descriptor* engine = config ? config->part(CONFIG_ENGINE) : nullptr;
  return engine && engine->part(ENGINE_GRAPH) ? engine : nullptr;
}

// What the library adds to what a descriptor was told.
Result complete(Descriptor* descriptor) {
  Work work;
  switch (descriptor->kind) {
    case TENSOR:
      return descriptor->one<int>(DATA_TYPE) == F32 || descriptor->one<int>(DATA_TYPE) == BF16
                 ? SUCCESS
                 : fail(NOT_SUPPORTED, "only f32 and bf16 are emulated");
    case GRAPH: return understood(descriptor, 0, work) ? SUCCESS : fail(BAD_PARAM, "an operation is not understood");
    case ENGINE: {
      int64_t index = descriptor->one<int64_t>(ENGINE_INDEX, -1);
      bool is_there = index == 0 || index == 1 || emulated_driver::has_engine(index);
      if (!descriptor->part(ENGINE_GRAPH) || !is_there) return fail(BAD_PARAM, "there is no such engine");
      if (index < 2) descriptor->set<int>(ENGINE_NOTES, {index == 0 ? NOTE_NONDETERMINISTIC : NOTE_TENSOR_CORE});
      return SUCCESS;
    }
    case KNOB_CHOICE:
      return descriptor->one<int>(KNOB_TYPE) == KNOB ? SUCCESS : fail(BAD_PARAM, "there is no such knob");
    case PLAN:
      if (!engine_of(descriptor)) return fail(BAD_PARAM, "a plan without an engine");
      descriptor->set<int64_t>(PLAN_WORKSPACE, {WORKSPACE});
      return SUCCESS;
    default: return SUCCESS;
  }
}

// What the heuristics name, as new descriptors. They live as long as the process.
std::vector<Descriptor*> named(const Descriptor* heuristics) {
  std::vector<Descriptor*> configs;
  for (char number : "01" + std::string(emulated_driver::engines())) {
    int64_t index = number - '0';
    Descriptor *engine = new Descriptor{ENGINE, true, {}}, *knob = new Descriptor{KNOB_CHOICE, true, {}},
               *config = new Descriptor{CONFIG, true, {}};
    engine->set<int64_t>(ENGINE_INDEX, {index});
    engine->set<const Descriptor*>(ENGINE_GRAPH, {heuristics->part(HEURISTICS_GRAPH)});
    knob->set<int>(KNOB_TYPE, {int(KNOB)});
    knob->set<int64_t>(KNOB_VALUE, {index + 5});
    config->set<Descriptor*>(CONFIG_ENGINE, {engine});
    config->set<Descriptor*>(CONFIG_KNOBS, {knob});
    configs.push_back(config);
  }
  return configs;
}

}  // namespace

#define CALL(type) extern "C" __attribute__((visibility("default"))) type

CALL(size_t) cudnnGetVersion() { return 92101; }
CALL(size_t) cudnnGetCudartVersion() { return 13000; }
CALL(const char*) cudnnGetErrorString(Result) { return "of the emulated cuDNN"; }
CALL(void) cudnnGetLastErrorString(char* to, size_t bytes) { snprintf(to, bytes, "%s", last_error); }
CALL(Result) cudnnCreate(void** handle) { return *handle = new Handle, SUCCESS; }
CALL(Result) cudnnDestroy(void* handle) { return delete (Handle*)handle, SUCCESS; }
CALL(Result) cudnnSetStream(void* handle, void* stream) { return ((Handle*)handle)->stream = stream, SUCCESS; }
CALL(Result) cudnnBackendCreateDescriptor(int kind, void** to) { return *to = new Descriptor{kind, false, {}}, SUCCESS; }
CALL(Result) cudnnBackendDestroyDescriptor(void* descriptor) { return delete (Descriptor*)descriptor, SUCCESS; }
CALL(Result) cudnnBackendSetAttribute(void* to, int name, int type, int64_t count, const void* elements) {
  Descriptor* descriptor = (Descriptor*)to;
  if (descriptor->is_final) return fail(BAD_PARAM, "it is final");
  if (type == TYPE_DESCRIPTOR)
    for (int64_t i = 0; i < count; i++)
      if (!((Descriptor* const*)elements)[i]->is_final) return fail(BAD_PARAM, "a part is not final");
  const char* bytes = (const char*)elements;
  descriptor->values[name] = std::vector<char>(bytes, bytes + size_t(count) * bytes_of(type));
  return SUCCESS;
}
CALL(Result) cudnnBackendFinalize(void* of) {
  Descriptor* descriptor = (Descriptor*)of;
  bool is_of_plan = descriptor->kind == ENGINE || descriptor->kind == HEURISTICS || descriptor->kind == PLAN;
  if (is_of_plan && emulated_driver::records()) return fail(NOT_SUPPORTED, "no plan is made while a stream records");
  if (Result result = complete(descriptor)) return result;
  descriptor->is_final = true;
  return SUCCESS;
}
CALL(Result) cudnnBackendGetAttribute(void* of, int name, int type, int64_t most, int64_t* count, void* to) {
  Descriptor* descriptor = (Descriptor*)of;
  if (!descriptor->is_final) return fail(BAD_PARAM, "it is not final");
  if (descriptor->kind == HEURISTICS && name == RESULTS && !descriptor->values.count(name))
    descriptor->set<Descriptor*>(RESULTS, named(descriptor));
  std::vector<char> bytes = descriptor->all<char>(name);
  *count = int64_t(bytes.size() / bytes_of(type));
  int64_t taken = *count < most ? *count : most;
  if (type == TYPE_DESCRIPTOR)
    for (int64_t i = 0; i < taken; i++) *((Descriptor**)to)[i] = *((Descriptor**)bytes.data())[i];
  else if (taken)
    memcpy(to, bytes.data(), size_t(taken) * bytes_of(type));
  return SUCCESS;
}
CALL(Result) cudnnBackendExecute(void* handle, void* of_plan, void* of_pack) {
  const Descriptor *plan = (Descriptor*)of_plan, *pack = (Descriptor*)of_pack;
  using emulated_driver::has;
  auto run = std::make_unique<Run>();
  const Descriptor* engine = engine_of(plan);
  if (!engine || !understood(engine->part(ENGINE_GRAPH), engine->one<int64_t>(ENGINE_INDEX), run->work))
    return fail(BAD_PARAM, "an operation is not understood");
  auto ids = pack->all<int64_t>(PACK_IDS);
  auto pointers = pack->all<void*>(PACK_POINTERS);
  for (size_t i = 0; i < ids.size() && i < pointers.size(); i++) run->operands[ids[i]] = pointers[i];
  for (const Tensor& tensor : run->work.tensors) {
    if (tensor.is_virtual) continue;
    auto found = run->operands.find(tensor.id);
    if (found == run->operands.end()) return fail(BAD_PARAM, "an operand is missing");
    if (!has(found->second, tensor.bytes())) return fail(BAD_PARAM, "an operand is not the GPU's");
  }
  if (!has((void*)pack->one<uint64_t>(PACK_WORKSPACE), WORKSPACE)) return fail(BAD_PARAM, "the workspace is not the GPU's");
  auto attempt = [](void* data) { return ((Run*)data)->compute(), SUCCESS; };
  auto drop = [](void* data) { delete (Run*)data; };
  bool taken = emulated_driver::later(((Handle*)handle)->stream, attempt, drop, run.release());
  return taken ? SUCCESS : fail(EXECUTION_FAILED, "the GPU has failed");
}
