// The scheduler of a block's threads. They come in rounds: all that can go on do, one behind another in random order,
// until they wait or end; then those go on for whom all have come. A thread that ends without having waited costs a call,
// on the stack that the one before it has left. One that waits costs a switch each time.
#include <algorithm>
#include <cstdlib>
#include <numeric>

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

// Of a stack. No multiple of what the caches' sets go by, or switching would go through memory each time.
const size_t STACK = (64 << 10) + 17 * 64;
const size_t SAVED = 6 * sizeof(void*);
// Lines of the cache behind what is saved, which hold most kernels' values.
const size_t FETCHED = 8;
const size_t WARP = 32, MOST_THREADS = 1024;

// The generator of Knuth's MMIX: turns of small kernels take about as long as what is done in them.
struct Random {
  uint64_t state;

  size_t below(size_t bound) {
    state = state * 6364136223846793005 + 1442695040888963407;
    return (state >> 32) * bound >> 32;
  }
  template <class T>
  void shuffle(std::vector<T>& all) {
    for (size_t left = all.size(); left > 1; left--) std::swap(all[left - 1], all[below(left)]);
  }
};

// A value that a thread brings to its warp, from whom it takes one, and of whom all have to come.
struct Exchange {
  // Null once it is over.
  int line;
  int source;
  unsigned mask;
  uint64_t brought, taken;
};

struct Fiber {
  uint3 place;
  // Where it goes on: null at its beginning.
  void* saved;
  Exchange exchange;
};

Random draw;
std::vector<Fiber> fibers;
// Who can go on in this round, in the order of their turns, of which so many are taken.
std::vector<unsigned> everybody, ready;
size_t taken;
// How many have ended, how many are at a barrier, the line of the first of these, and whether another's differs.
size_t ended, at_barrier;
int barrier;
bool is_mixed;
// Ends of all stacks, and of those that no thread is on.
std::vector<char*> stacks, spare;
void* scheduler;
size_t current, count;
const Entry* running;
void** values;

std::vector<uint3> all_places(dim3 size) {
  std::vector<uint3> all;
  for (unsigned z = 0; z < size.z; z++)
    for (unsigned y = 0; y < size.y; y++)
      for (unsigned x = 0; x < size.x; x++) all.push_back(uint3{x, y, z});
  return all;
}

// Where the one goes on whose turn is next. If all had theirs it is the scheduler's.
void* next() {
  if (taken == ready.size()) return scheduler;
  current = ready[taken++];
  // What the next two turns need is fetched meanwhile: all stacks are more than the nearest cache holds. (In a function
  // of its own it would be left out, as it has no effect.)
  if (taken + 1 < ready.size()) __builtin_prefetch(&fibers[ready[taken + 1]]);
  if (taken < ready.size()) {
    const char* soon = (const char*)fibers[ready[taken]].saved;
    for (size_t line = 0; line < FETCHED; line++) __builtin_prefetch(soon + 64 * line);
  }
  thread = fibers[current].place;
  return fibers[current].saved;
}

// Of a thread that begins, and of all that begin where one before them has ended.
void run() {
  char* stack = spare.back();
  spare.pop_back();
  void* place;
  do {
    running->call(running->kernel, values);
    ended++;
    place = next();
  } while (!place);
  spare.push_back(stack);
  void* nowhere;
  switch_fiber(&nowhere, place);
}

void make_stack() {
  static char* memory = (char*)aligned_alloc(64, MOST_THREADS * STACK);
  stacks.push_back(memory + (stacks.size() + 1) * STACK - 16);
  spare.push_back(stacks.back());
}

// A stack as if `run` had been called: its address lies where a call leaves the stack 8 off a multiple of 16.
void* beginning() {
  if (spare.empty()) make_stack();
  *(void (**)())spare.back() = run;
  return spare.back() - SAVED;
}

// Goes on with whose turn it is, until it is the caller's again.
void give_turn(void** saved) {
  void* place = next();
  switch_fiber(saved, place ? place : beginning());
}

// Has those threads of a warp go on whose exchange is complete.
void release(size_t first) {
  size_t lanes = std::min(WARP, count - first);
  Fiber* warp = &fibers[first];
  for (size_t lane = 0; lane < lanes; lane++) {
    const Exchange one = warp[lane].exchange;
    if (!one.line) continue;
    auto is_same = [&](size_t other) {
      return warp[other].exchange.line == one.line && warp[other].exchange.mask == one.mask;
    };
    unsigned come = 0;
    for (size_t other = 0; other < lanes; other++) come |= unsigned(is_same(other)) << other;
    if (one.mask & ~come) continue;
    for (size_t other = lane; other < lanes; other++)
      if (come >> other & 1) {
        Exchange& own = warp[other].exchange;
        own.taken = own.source >= 0 && size_t(own.source) < lanes ? warp[own.source].exchange.brought : own.brought;
        own.line = 0;
        ready.push_back(unsigned(first + other));
      }
  }
}

std::string run_block() {
  for (Fiber& fiber : fibers) fiber.saved = nullptr, fiber.exchange.line = 0;
  ready = everybody;
  ended = at_barrier = 0;
  is_mixed = false;
  for (;;) {
    taken = 0;
    draw.shuffle(ready);
    give_turn(&scheduler);
    if (ended == count) return "";
    ready.clear();
    if (ended + at_barrier < count) {
      for (size_t first = 0; first < count; first += WARP) release(first);
      if (ready.empty()) return "threads wait for different barriers, or for a thread that has ended";
      continue;
    }
    if (is_mixed || ended > 0)
      return "not all threads of a block come to the __syncthreads() of line " + std::to_string(barrier);
    ready = everybody;
    at_barrier = 0;
  }
}

}  // namespace

void wait_for_block(int line) {
  if (at_barrier++ == 0) barrier = line;
  is_mixed |= barrier != line;
  give_turn(&fibers[current].saved);
}

int lane() { return int(current % WARP); }

uint64_t exchange(unsigned mask, uint64_t value, int source, int line) {
  Fiber& fiber = fibers[current];
  fiber.exchange = Exchange{line, source, mask, value, 0};
  give_turn(&fiber.saved);
  return fiber.exchange.taken;
}

std::string launch(const Entry& entry, dim3 grid, dim3 size, void** arguments, unsigned seed) {
  draw.state = seed;
  blocks = grid;
  threads = size;
  running = &entry;
  values = arguments;
  fibers.clear();
  for (const uint3& place : all_places(size)) fibers.push_back(Fiber{place, nullptr, {}});
  count = fibers.size();
  everybody.resize(count);
  std::iota(everybody.begin(), everybody.end(), 0);
  // Those of a launch that has failed are left where its threads waited.
  spare = stacks;
  std::vector<uint3> order = all_places(grid);
  draw.shuffle(order);
  for (const uint3& place : order) {
    block = place;
    std::string wrong = run_block();
    if (!wrong.empty()) return entry.name + ": " + wrong;
  }
  return "";
}

}  // namespace cuda_on_cpu
