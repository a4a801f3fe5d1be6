// A cuBLASLt of products of f32 or bf16, on an emulated GPU. Of the algorithms that its heuristics name the first adds
// parts by whichever comes first and the second uses tensor cores; `engines` tells of the others, from 3 on, for f32.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "bf16.h"
#include "emulated_driver.h"

// Loops over rows in vectors.
#pragma GCC optimize("O3")

namespace {

using Result = int;
const Result SUCCESS = 0, INVALID_VALUE = 7, NOT_SUPPORTED = 15, EXECUTION_FAILED = 13;

// Attributes, as cublasLt.h numbers them.
enum { TRANSPOSED_A = 3, TRANSPOSED_B = 4, EPILOGUE = 7, BIAS_POINTER = 8 };
enum { REDUCTION_SCHEME = 3, NUMERICAL_FLAGS = 15 };
const int F32 = 0, BF16 = 14, COMPUTE_F32 = 68, COMPUTE_TF32 = 77, WITH_BIAS = 4, IN_ANY_ORDER = 1;
const uint64_t FMA_IN_F32 = 1 | 1 << 9 | 1 << 19, TENSOR_CORES = 2 | 1 << 9, OF_BF16 = 1 << 17, OF_TF32 = 1 << 18;
const uint64_t IN_F64 = 4;
const size_t WORKSPACE = 4096;

// What a call was given, by attribute.
struct Attributes {
  int compute = 0;
  std::map<int, std::vector<char>> values;

  template <class T>
  T get(int attribute, T otherwise) const {
    auto found = values.find(attribute);
    if (found == values.end() || found->second.size() != sizeof(T)) return otherwise;
    memcpy(&otherwise, found->second.data(), sizeof(T));
    return otherwise;
  }
};

struct Layout {
  int type;
  uint64_t rows, columns;
  int64_t stride;
};

struct Algorithm {
  uint64_t id, type, rest[6];
};

struct Found {
  Algorithm algorithm;
  size_t workspace;
  Result state;
  float waves;
  int reserved[4];
};

bool is_there(const Algorithm& algorithm) {
  return algorithm.id == 1 || algorithm.id == 2 || emulated_driver::has_engine(int64_t(algorithm.id) - 1);
}

// A run of numbers of either type, as f32.
struct Numbers {
  void* at;
  bool is_narrow;

  std::vector<float> read(uint64_t len) const {
    std::vector<float> values(len);
    if (is_narrow)
      bf16::widen((const uint16_t*)at, values);
    else
      memcpy(values.data(), at, len * sizeof(float));
    return values;
  }
  void write(const std::vector<float>& values) const {
    if (is_narrow)
      bf16::narrow(values.data(), int64_t(values.size()), (uint16_t*)at);
    else
      memcpy(at, values.data(), values.size() * sizeof(float));
  }
};

// out = first * second + bias, all of them column by column without gaps.
struct Product {
  Numbers first, second, bias, out;
  bool first_turned, second_turned;
  uint64_t rows, columns, terms;
  bool in_f64;

  void compute() const { in_f64 ? add_up<double>() : add_up<float>(); }

  // Term by term, with neighbouring rows side by side: sums one by one would wait for memory at each term.
  template <class Sum>
  void add_up() const {
    auto a = first.read(rows * terms), b = second.read(terms * columns);
    auto added = bias.at ? bias.read(rows) : std::vector<float>();
    std::vector<float> by_term(terms * rows), values(rows * columns);
    std::vector<Sum> sums(rows);
    for (uint64_t i = 0; i < rows; i++)
      for (uint64_t k = 0; k < terms; k++) by_term[k * rows + i] = a[first_turned ? i * terms + k : k * rows + i];
    for (uint64_t j = 0; j < columns; j++) {
      std::fill(sums.begin(), sums.end(), Sum(0));
      for (uint64_t k = 0; k < terms; k++) {
        const float* term = &by_term[k * rows];
        Sum by = b[second_turned ? k * columns + j : j * terms + k];
        for (uint64_t i = 0; i < rows; i++) sums[i] += term[i] * by;
      }
      for (uint64_t i = 0; i < rows; i++) values[j * rows + i] = float(bias.at ? sums[i] + added[i] : sums[i]);
    }
    out.write(values);
  }
};

Result set(Attributes* to, int attribute, const void* value, size_t bytes) {
  to->values[attribute] = std::vector<char>((const char*)value, (const char*)value + bytes);
  return SUCCESS;
}

template <class T>
Result told(T value, void* to, size_t bytes, size_t* written) {
  if (bytes != sizeof(T)) return INVALID_VALUE;
  memcpy(to, &value, sizeof(T));
  *written = sizeof(T);
  return SUCCESS;
}

bool fits(const Attributes* desc, const Layout* a, const Layout* b, const Layout* out) {
  bool turned_a = desc->get(TRANSPOSED_A, 0), turned_b = desc->get(TRANSPOSED_B, 0);
  uint64_t rows = turned_a ? a->columns : a->rows, terms = turned_a ? a->rows : a->columns;
  uint64_t columns = turned_b ? b->rows : b->columns, also_terms = turned_b ? b->columns : b->rows;
  bool known = desc->compute == COMPUTE_F32 ? a->type == F32 || a->type == BF16
                                            : desc->compute == COMPUTE_TF32 && a->type == F32;
  bool without_gaps = true;
  for (const Layout* layout : {a, b, out}) without_gaps &= uint64_t(layout->stride) == layout->rows;
  return known && without_gaps && b->type == a->type && out->type == a->type && terms == also_terms &&
         rows == out->rows && columns == out->columns;
}

}  // namespace

#define CALL(type) extern "C" __attribute__((visibility("default"))) type

CALL(size_t) cublasLtGetVersion() { return 130002; }
CALL(const char*) cublasLtGetStatusName(Result) { return "of the emulated cuBLASLt"; }
CALL(const char*) cublasLtGetStatusString(Result status) {
  return status == NOT_SUPPORTED ? "not supported" : status == INVALID_VALUE ? "invalid value" : "failed";
}
CALL(Result) cublasLtCreate(void** handle) { return *handle = new int, SUCCESS; }
CALL(Result) cublasLtDestroy(void* handle) { return delete (int*)handle, SUCCESS; }
CALL(Result) cublasLtMatmulDescCreate(void** desc, int compute, int) {
  Attributes* made = new Attributes;
  made->compute = compute;
  *desc = made;
  return SUCCESS;
}
CALL(Result) cublasLtMatmulDescDestroy(void* desc) { return delete (Attributes*)desc, SUCCESS; }
CALL(Result) cublasLtMatmulDescSetAttribute(void* desc, int attribute, const void* value, size_t bytes) {
  return set((Attributes*)desc, attribute, value, bytes);
}
CALL(Result) cublasLtMatrixLayoutCreate(void** layout, int type, uint64_t rows, uint64_t columns, int64_t stride) {
  *layout = new Layout{type, rows, columns, stride};
  return SUCCESS;
}
CALL(Result) cublasLtMatrixLayoutDestroy(void* layout) { return delete (Layout*)layout, SUCCESS; }
CALL(Result) cublasLtMatmulPreferenceCreate(void** preference) { return *preference = new Attributes, SUCCESS; }
CALL(Result) cublasLtMatmulPreferenceDestroy(void* preference) { return delete (Attributes*)preference, SUCCESS; }
CALL(Result) cublasLtMatmulPreferenceSetAttribute(void* preference, int attribute, const void* value, size_t bytes) {
  return set((Attributes*)preference, attribute, value, bytes);
}
CALL(Result) cublasLtMatmulAlgoGetHeuristic(void*, void* desc, void* a, void* b, void*, void* out, void*, int most,
                                            Found* found, int* count) {
  if (emulated_driver::records()) return NOT_SUPPORTED;
  if (!fits((Attributes*)desc, (Layout*)a, (Layout*)b, (Layout*)out)) return NOT_SUPPORTED;
  *count = 0;
  for (char number : "01" + std::string(emulated_driver::engines())) {
    Algorithm algorithm{uint64_t(number - '0') + 1, uint64_t(((Layout*)a)->type), {}};
    if (*count < most) found[(*count)++] = Found{algorithm, WORKSPACE, SUCCESS, 1.0f, {}};
  }
  return SUCCESS;
}
CALL(Result) cublasLtMatmulAlgoCheck(void*, void* desc, void* a, void* b, void*, void* out, const Algorithm* algorithm,
                                     Found* found) {
  if (emulated_driver::records()) return NOT_SUPPORTED;
  if (!fits((Attributes*)desc, (Layout*)a, (Layout*)b, (Layout*)out) || !is_there(*algorithm)) return NOT_SUPPORTED;
  *found = Found{*algorithm, WORKSPACE, SUCCESS, 1.0f, {}};
  return SUCCESS;
}
CALL(Result) cublasLtMatmulAlgoConfigGetAttribute(const Algorithm* algorithm, int attribute, void* to, size_t bytes,
                                                  size_t* written) {
  if (attribute != REDUCTION_SCHEME) return NOT_SUPPORTED;
  return told<uint32_t>(algorithm->id == 1 ? IN_ANY_ORDER : 0, to, bytes, written);
}
CALL(Result) cublasLtMatmulAlgoCapGetAttribute(const Algorithm* algorithm, int attribute, void* to, size_t bytes,
                                               size_t* written) {
  if (attribute != NUMERICAL_FLAGS) return NOT_SUPPORTED;
  uint64_t on_tensor_cores = TENSOR_CORES | (algorithm->type == BF16 ? OF_BF16 : OF_TF32);
  return told<uint64_t>(algorithm->id == 2 ? on_tensor_cores : FMA_IN_F32, to, bytes, written);
}
CALL(Result) cublasLtMatmul(void*, void* desc, const float* alpha, void* a, void* of_a, void* b, void* of_b,
                            const float* beta, void* c, void*, void* d, void* of_d, const Algorithm* algorithm,
                            void* workspace, size_t bytes, void* stream) {
  const Attributes* told = (Attributes*)desc;
  const Layout *first = (Layout*)of_a, *second = (Layout*)of_b, *out = (Layout*)of_d;
  bool is_f32 = first->type == F32 && told->compute == COMPUTE_F32;
  if (!fits(told, first, second, out) || algorithm->id < (is_f32 ? 3 : 2) || *alpha != 1.0f || *beta != 0.0f || c != d)
    return NOT_SUPPORTED;
  bool turned = told->get(TRANSPOSED_A, 0), is_narrow = first->type == BF16;
  bool has_bias = told->get(EPILOGUE, 1) == WITH_BIAS;
  auto numbers = [=](void* at) { return Numbers{at, is_narrow}; };
  void* bias = has_bias ? told->get<void*>(BIAS_POINTER, nullptr) : nullptr;
  Product* product = new Product{numbers(a), numbers(b), numbers(bias), numbers(d), turned,
                                 bool(told->get(TRANSPOSED_B, 0)), out->rows, out->columns,
                                 turned ? first->rows : first->columns, algorithm->id == IN_F64};
  size_t element = is_narrow ? sizeof(uint16_t) : sizeof(float);
  auto all = [=](const Layout* layout) { return layout->rows * layout->columns * element; };
  using emulated_driver::has;
  bool are_there = has(a, all(first)) && has(b, all(second)) && has(d, all(out)) && bytes >= WORKSPACE &&
                   has(workspace, bytes) && (!has_bias || has(bias, out->rows * element));
  if (!are_there) return delete product, INVALID_VALUE;
  auto attempt = [](void* data) { return ((Product*)data)->compute(), SUCCESS; };
  auto drop = [](void* data) { delete (Product*)data; };
  return emulated_driver::later(stream, attempt, drop, product) ? SUCCESS : EXECUTION_FAILED;
}
