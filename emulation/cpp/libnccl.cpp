// An NCCL over sockets of the loopback, between processes that each have an emulated GPU. As with the real one nothing
// happens before the stream comes to it, which it does though nobody waits for it; joining goes on in the background, a
// peer that is lost shows as an asynchronous error while the exchange hangs, and an abort ends what hangs. The order of
// its sums is nobody's tree.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "bf16.h"
#include "emulated_driver.h"

namespace {

using Result = int;
const Result SUCCESS = 0, UNHANDLED_CUDA_ERROR = 1, SYSTEM_ERROR = 2, INVALID_ARGUMENT = 4, INVALID_USAGE = 5,
             REMOTE_ERROR = 6, IN_PROGRESS = 7;
const int NOT_READY = 600;  // the driver's
const int LOOK_AGAIN = 5;   // milliseconds between looks at whether a communicator was given up
const int LIFETIME = 60000 / LOOK_AGAIN;

std::mutex last_lock;
std::string last_error;

Result fail(Result code, const std::string& why) {
  std::lock_guard<std::mutex> guard(last_lock);
  last_error = why;
  return code;
}

// EMULATED_NCCL_FAILS names a call.
bool is_to_fail(const char* call) {
  const char* named = getenv("EMULATED_NCCL_FAILS");
  return named && !strcmp(named, call);
}

struct Id {
  char magic[8];
  uint64_t key;
  uint16_t port;
  char rest[110];
};
static_assert(sizeof(Id) == 128, "as nccl.h has it");

// What a rank tells who knows the key.
struct Hello {
  uint64_t key;
  int32_t rank, ranks;
  uint16_t port;
};

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int listen_anywhere(uint16_t* port) {
  int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = loopback(0);
  socklen_t len = sizeof address;
  if (socket < 0 || bind(socket, (sockaddr*)&address, len) || listen(socket, 64) ||
      getsockname(socket, (sockaddr*)&address, &len))
    return -1;
  *port = ntohs(address.sin_port);
  return socket;
}

int connect_to(uint16_t port) {
  int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = loopback(port);
  return socket >= 0 && connect(socket, (sockaddr*)&address, sizeof address) == 0 ? socket : -1;
}

// Waits until something can be read or accepted, unless given up.
bool is_readable(int socket, const std::atomic<bool>& given_up) {
  for (int looks = 0; looks < LIFETIME && !given_up; looks++) {
    pollfd wanted{socket, POLLIN, 0};
    if (poll(&wanted, 1, LOOK_AGAIN) > 0) return true;
  }
  return false;
}

bool read_all(int socket, void* to, size_t len, const std::atomic<bool>& given_up) {
  for (size_t done = 0; done < len;) {
    if (!is_readable(socket, given_up)) return false;
    ssize_t count = recv(socket, (char*)to + done, len - done, 0);
    if (count <= 0) return false;
    done += size_t(count);
  }
  return true;
}

bool write_all(int socket, const void* from, size_t len) {
  return send(socket, from, len, MSG_NOSIGNAL) == ssize_t(len);
}

// The process that made the id tells everybody where all listen.
void be_root(int listener, uint64_t key) {
  std::atomic<bool> never{false};
  std::vector<int> sockets;
  std::vector<uint16_t> ports;
  for (size_t missing = 1; missing > 0;) {
    if (!is_readable(listener, never)) break;
    int socket = accept(listener, nullptr, nullptr);
    Hello hello;
    if (!read_all(socket, &hello, sizeof hello, never) || hello.key != key) {
      close(socket);
      continue;
    }
    ports.resize(size_t(hello.ranks));
    ports[size_t(hello.rank)] = hello.port;
    sockets.push_back(socket);
    missing = ports.size() - sockets.size();
  }
  for (int socket : sockets) {
    if (sockets.size() == ports.size()) write_all(socket, ports.data(), ports.size() * sizeof(uint16_t));
    close(socket);
  }
  close(listener);
}

struct Communicator {
  uint64_t key;
  int rank, ranks;
  std::vector<int> peers;
  std::atomic<Result> state{IN_PROGRESS};
  std::atomic<bool> given_up{false};
  std::atomic<void*> stream{nullptr};
  std::thread joining;

  void join(uint16_t root) {
    state = meets(root) ? SUCCESS : fail(REMOTE_ERROR, "not all ranks came");
    // From here on this thread stands for the GPU, which waits for nobody's question.
    for (; state == SUCCESS && !given_up; poll(nullptr, 0, 1))
      if (void* busy = stream) emulated_driver::go_on(busy);
  }

  bool meets(uint16_t root) {
    uint16_t port;
    int listener = listen_anywhere(&port);
    int socket = connect_to(root);
    Hello hello{key, rank, ranks, port};
    std::vector<uint16_t> ports(static_cast<size_t>(ranks));
    bool told = socket >= 0 && write_all(socket, &hello, sizeof hello) &&
                read_all(socket, ports.data(), ports.size() * sizeof(uint16_t), given_up);
    if (socket >= 0) close(socket);
    for (int peer = 0; told && peer < rank; peer++) {
      peers[size_t(peer)] = connect_to(ports[size_t(peer)]);
      told = peers[size_t(peer)] >= 0 && write_all(peers[size_t(peer)], &hello, sizeof hello);
    }
    for (int missing = ranks - rank - 1; told && missing > 0; missing--) {
      Hello theirs;
      told = is_readable(listener, given_up);
      int peer = told ? accept(listener, nullptr, nullptr) : -1;
      told = told && read_all(peer, &theirs, sizeof theirs, given_up) && theirs.key == key;
      if (told) peers[size_t(theirs.rank)] = peer;
    }
    close(listener);
    return told;
  }

  void leave() {
    given_up = true;
    if (joining.joinable()) joining.join();
    for (int& peer : peers) {
      if (peer >= 0) close(peer);
      peer = -1;
    }
  }
};
using Shared = std::shared_ptr<Communicator>;

struct Bytes {
  char* at;
  size_t left;
};

// The calls of one group on one stream.
struct Exchange {
  Shared communicator;
  std::vector<std::deque<Bytes>> sends, receives;
  // Sums that are made once all has come.
  struct Sum {
    char* to;
    std::vector<std::vector<char>> parts;
    size_t len;
    int type;
  };
  std::deque<Sum> sums;

  explicit Exchange(Shared shared)
      : communicator(std::move(shared)), sends(size_t(communicator->ranks)), receives(sends.size()) {}
};

thread_local int depth;
thread_local std::unique_ptr<Exchange> group;
thread_local void* stream_of_group;

// As far as the peer takes it, or has sent it. Gives whether all is done.
bool move(Communicator& communicator, int socket, std::deque<Bytes>& queue, bool sending) {
  while (!queue.empty()) {
    Bytes& next = queue.front();
    if (next.left == 0) {
      queue.pop_front();
      continue;
    }
    ssize_t count = sending ? send(socket, next.at, next.left, MSG_DONTWAIT | MSG_NOSIGNAL)
                            : recv(socket, next.at, next.left, MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (count <= 0) {
      communicator.state = fail(REMOTE_ERROR, "a peer has closed its connection");
      return false;
    }
    next.at += count;
    next.left -= size_t(count);
  }
  return true;
}

// Adds up from the rank behind this one on: an order that differs from rank to rank, as nobody may rely on any.
void add_up(const Exchange::Sum& sum, int rank) {
  size_t ranks = sum.parts.size();
  for (size_t i = 0; i < sum.len; i++) {
    float total = 0;
    for (size_t step = 1; step <= ranks; step++) {
      const char* part = sum.parts[(size_t(rank) + step) % ranks].data();
      float value;
      if (sum.type == 9) {
        uint16_t half;
        memcpy(&half, part + 2 * i, 2);
        value = bf16::wide(half);
      } else {
        memcpy(&value, part + 4 * i, 4);
      }
      total += value;
    }
    uint16_t half = bf16::half(total);
    if (sum.type == 9) memcpy(sum.to + 2 * i, &half, 2);
    else memcpy(sum.to + 4 * i, &total, 4);
  }
}

int attempt(void* data) {
  Exchange& exchange = *(Exchange*)data;
  Communicator& communicator = *exchange.communicator;
  if (communicator.given_up) return SUCCESS;
  if (communicator.state == REMOTE_ERROR) return NOT_READY;
  bool done = true;
  for (size_t peer = 0; peer < exchange.sends.size(); peer++) {
    int socket = communicator.peers[peer];
    if (int(peer) == communicator.rank) {
      // To itself.
      for (auto& sends = exchange.sends[peer]; !sends.empty(); sends.pop_front()) {
        memmove(exchange.receives[peer].front().at, sends.front().at, sends.front().left);
        exchange.receives[peer].pop_front();
      }
      continue;
    }
    done &= move(communicator, socket, exchange.sends[peer], true);
    done &= move(communicator, socket, exchange.receives[peer], false);
  }
  if (!done) return NOT_READY;
  for (const Exchange::Sum& sum : exchange.sums) add_up(sum, communicator.rank);
  return SUCCESS;
}

size_t bytes_of(int type) { return type == 9 ? 2 : type == 7 ? 4 : 0; }

// The exchange that a call on this communicator and stream belongs to; none if it can't be.
Exchange* open_group(void* handle, void* stream, int type) {
  const Shared& shared = *(Shared*)handle;
  if (depth == 0 || bytes_of(type) == 0 || shared->state != SUCCESS) return nullptr;
  if (!group) {
    group = std::make_unique<Exchange>(shared);
    stream_of_group = stream;
  }
  return group->communicator == shared && stream_of_group == stream ? group.get() : nullptr;
}

}  // namespace

#define CALL(type) extern "C" __attribute__((visibility("default"))) type

CALL(Result) ncclGetVersion(int* version) {
  const char* told = getenv("EMULATED_NCCL_VERSION");
  *version = told ? atoi(told) : 22809;
  return SUCCESS;
}
CALL(const char*) ncclGetErrorString(Result code) {
  switch (code) {
    case SUCCESS: return "no error";
    case SYSTEM_ERROR: return "unhandled system error";
    case INVALID_ARGUMENT: return "invalid argument";
    case INVALID_USAGE: return "invalid usage";
    case REMOTE_ERROR: return "remote process exited or there was a network error";
    default: return "unknown result code";
  }
}
CALL(const char*) ncclGetLastError(void*) {
  static thread_local std::string copy;
  std::lock_guard<std::mutex> guard(last_lock);
  return (copy = last_error).c_str();
}
CALL(Result) ncclGetUniqueId(Id* id) {
  *id = Id{};
  memcpy(id->magic, "emulated", 8);
  std::random_device random;
  id->key = uint64_t(random()) << 32 | random();
  int listener = listen_anywhere(&id->port);
  if (listener < 0) return fail(SYSTEM_ERROR, "no socket");
  std::thread(be_root, listener, id->key).detach();
  return SUCCESS;
}
CALL(Result) ncclCommInitRankConfig(void** handle, int ranks, Id id, int rank, const uint32_t* config) {
  if (is_to_fail("ncclCommInitRankConfig")) return fail(SYSTEM_ERROR, "no network interface found");
  if (memcmp(id.magic, "emulated", 8) || rank < 0 || rank >= ranks || config[2] != 0xcafebeef || config[4] != 0)
    return fail(INVALID_ARGUMENT, "an id, rank or configuration that is none");
  auto shared = std::make_shared<Communicator>();
  shared->key = id.key;
  shared->rank = rank;
  shared->ranks = ranks;
  shared->peers.assign(size_t(ranks), -1);
  Communicator* communicator = shared.get();
  shared->joining = std::thread([communicator, port = id.port] { communicator->join(port); });
  *handle = new Shared(shared);
  return IN_PROGRESS;
}
CALL(Result) ncclCommGetAsyncError(void* handle, Result* state) {
  *state = (*(Shared*)handle)->state;
  return SUCCESS;
}
CALL(Result) ncclCommAbort(void* handle) {
  (*(Shared*)handle)->leave();
  delete (Shared*)handle;
  return SUCCESS;
}
CALL(Result) ncclCommFinalize(void* handle) { return (*(Shared*)handle)->state; }
CALL(Result) ncclCommDestroy(void* handle) { return ncclCommAbort(handle); }
CALL(Result) ncclGroupStart() { return depth++, SUCCESS; }
CALL(Result) ncclGroupEnd() {
  if (depth == 0) return fail(INVALID_USAGE, "no group was started");
  if (--depth > 0 || !group) return SUCCESS;
  auto drop = [](void* data) { delete (Exchange*)data; };
  group->communicator->stream = stream_of_group;
  return emulated_driver::later(stream_of_group, attempt, drop, group.release()) ? SUCCESS : UNHANDLED_CUDA_ERROR;
}
CALL(Result) ncclSend(const void* from, size_t len, int type, int peer, void* handle, void* stream) {
  Exchange* exchange = open_group(handle, stream, type);
  size_t bytes = len * bytes_of(type);
  if (!exchange || !emulated_driver::has(from, bytes)) return fail(INVALID_ARGUMENT, "ncclSend");
  exchange->sends[size_t(peer)].push_back(Bytes{(char*)from, bytes});
  return SUCCESS;
}
CALL(Result) ncclRecv(void* to, size_t len, int type, int peer, void* handle, void* stream) {
  Exchange* exchange = open_group(handle, stream, type);
  size_t bytes = len * bytes_of(type);
  if (!exchange || !emulated_driver::has(to, bytes)) return fail(INVALID_ARGUMENT, "ncclRecv");
  exchange->receives[size_t(peer)].push_back(Bytes{(char*)to, bytes});
  return SUCCESS;
}
CALL(Result) ncclAllGather(const void* from, void* to, size_t len, int type, void* handle, void* stream) {
  Exchange* exchange = open_group(handle, stream, type);
  size_t bytes = len * bytes_of(type);
  size_t ranks = exchange ? exchange->sends.size() : 0;
  if (!exchange || !emulated_driver::has(from, bytes) || !emulated_driver::has(to, ranks * bytes))
    return fail(INVALID_ARGUMENT, "ncclAllGather");
  for (size_t peer = 0; peer < ranks; peer++) {
    exchange->sends[peer].push_back(Bytes{(char*)from, bytes});
    exchange->receives[peer].push_back(Bytes{(char*)to + peer * bytes, bytes});
  }
  return SUCCESS;
}
CALL(Result) ncclReduceScatter(const void* from, void* to, size_t len, int type, int, void* handle, void* stream) {
  Exchange* exchange = open_group(handle, stream, type);
  size_t bytes = len * bytes_of(type);
  size_t ranks = exchange ? exchange->sends.size() : 0;
  if (!exchange || !emulated_driver::has(from, ranks * bytes) || !emulated_driver::has(to, bytes))
    return fail(INVALID_ARGUMENT, "ncclReduceScatter");
  exchange->sums.push_back(Exchange::Sum{(char*)to, std::vector<std::vector<char>>(ranks), len, type});
  Exchange::Sum& sum = exchange->sums.back();
  for (size_t peer = 0; peer < ranks; peer++) {
    sum.parts[peer].resize(bytes);
    exchange->sends[peer].push_back(Bytes{(char*)from + peer * bytes, bytes});
    exchange->receives[peer].push_back(Bytes{sum.parts[peer].data(), bytes});
  }
  return SUCCESS;
}
