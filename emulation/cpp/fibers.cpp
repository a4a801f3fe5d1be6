// The scheduler of a block's threads.
#include <algorithm>
#include <cstdlib>
#include <random>

#include "cuda_on_cpu.h"

// Saves the callee's registers and the stack in *from and goes on where `to` was saved (System V, x86-64).
extern "C" void switch_fiber(void** from, void* to);
asm(R"(
.text
.type switch_fiber, @function
switch_fiber:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
)");

namespace cuda_on_cpu {

uint3 thread, block;
dim3 threads, blocks;

namespace {

const size_t STACK = 64 << 10;
const size_t SAVED = 6 * sizeof(void*);

enum class State { Ready, AtBarrier, InWarp, Done };

struct Fiber {
  char* stack;
  void* saved;
  State state;
  unsigned mask;
  int line;
};

std::vector<Fiber> fibers;
std::vector<uint64_t> exchanged;
void* scheduler;
size_t current, count;
const Entry* running;
void** values;

void run() {
  running->call(running->kernel, values);
  fibers[current].state = State::Done;
  void* nowhere;
  switch_fiber(&nowhere, scheduler);
}

void prepare(size_t index) {
  if (fibers.size() <= index) fibers.push_back(Fiber{(char*)aligned_alloc(64, STACK), nullptr, State::Done, 0, 0});
  Fiber& fiber = fibers[index];
  // As if `run` had been called: its address lies where a call leaves the stack 8 off a multiple of 16. Stacks begin in
  // different sets of the caches, or switching between them would go through memory each time.
  char* top = fiber.stack + STACK - 16 - index % 64 * 256;
  *(void (**)())top = run;
  fiber.saved = top - SAVED;
  fiber.state = State::Ready;
}

void pause(State state, unsigned mask, int line) {
  Fiber& fiber = fibers[current];
  fiber.state = state;
  fiber.mask = mask;
  fiber.line = line;
  switch_fiber(&fiber.saved, scheduler);
}

void go_on(size_t index) {
  current = index;
  thread = uint3{unsigned(index % threads.x), unsigned(index / threads.x % threads.y),
                 unsigned(index / (threads.x * threads.y))};
  switch_fiber(&scheduler, fibers[index].saved);
}

// Whether all threads of a waiting one's mask wait for the same exchange.
bool is_complete(size_t index) {
  const Fiber& fiber = fibers[index];
  size_t first = index / 32 * 32;
  for (size_t lane = 0; lane < 32; lane++) {
    if (!(fiber.mask >> lane & 1)) continue;
    if (first + lane >= count) return false;
    const Fiber& other = fibers[first + lane];
    if (other.state != State::InWarp || other.mask != fiber.mask || other.line != fiber.line) return false;
  }
  return true;
}

bool release_warps() {
  std::vector<size_t> ready;
  for (size_t index = 0; index < count; index++)
    if (fibers[index].state == State::InWarp && is_complete(index)) ready.push_back(index);
  for (size_t index : ready) fibers[index].state = State::Ready;
  return !ready.empty();
}

std::string run_block(std::mt19937& random) {
  for (size_t index = 0; index < count; index++) prepare(index);
  std::vector<size_t> order(count);
  for (size_t index = 0; index < count; index++) order[index] = index;
  for (;;) {
    std::shuffle(order.begin(), order.end(), random);
    bool ran = false;
    for (size_t index : order)
      if (fibers[index].state == State::Ready) {
        go_on(index);
        ran = true;
      }
    size_t done = 0, waiting = 0;
    int line = -1;
    bool mixed = false;
    for (size_t index = 0; index < count; index++) {
      const Fiber& fiber = fibers[index];
      done += fiber.state == State::Done;
      if (fiber.state != State::AtBarrier) continue;
      mixed |= waiting > 0 && fiber.line != line;
      line = fiber.line;
      waiting++;
    }
    if (done == count) return "";
    if (waiting + done == count) {
      if (mixed || done > 0) return "not all threads of a block come to the __syncthreads() of line " + std::to_string(line);
      for (size_t index = 0; index < count; index++) fibers[index].state = State::Ready;
      continue;
    }
    if (!release_warps() && !ran) return "threads wait for different barriers, or for a thread that has ended";
  }
}

}  // namespace

void wait_for_block(int line) { pause(State::AtBarrier, 0, line); }

int lane() { return int(current % 32); }

uint64_t exchange(unsigned mask, uint64_t value, int source, int line) {
  size_t first = current / 32 * 32;
  exchanged[current] = value;
  pause(State::InWarp, mask, line);
  // Before anyone brings the next value, all have taken this one.
  uint64_t taken = source >= 0 && source < 32 && first + source < count ? exchanged[first + source] : value;
  pause(State::InWarp, mask, -line);
  return taken;
}

std::string launch(const Entry& entry, dim3 grid, dim3 size, void** arguments, unsigned seed) {
  std::mt19937 random(seed);
  blocks = grid;
  threads = size;
  running = &entry;
  values = arguments;
  count = size_t(size.x) * size.y * size.z;
  exchanged.assign(count, 0);
  std::vector<uint3> order;
  for (unsigned z = 0; z < grid.z; z++)
    for (unsigned y = 0; y < grid.y; y++)
      for (unsigned x = 0; x < grid.x; x++) order.push_back(uint3{x, y, z});
  std::shuffle(order.begin(), order.end(), random);
  for (const uint3& place : order) {
    block = place;
    std::string wrong = run_block(random);
    if (!wrong.empty()) return entry.name + ": " + wrong;
  }
  return "";
}

}  // namespace cuda_on_cpu
