// Google Benchmark over single calls of the store: put, get and delete for each isolation mode of the machine and a few
// sizes of values. For looking at one operation closely; the figures with targets come from lightning-bench.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "lightning/client.h"

namespace lightning::bench {
namespace {

// Few enough for the values to stay in the caches.
uint32_t HotKeys(size_t size) { return size >= (size_t{1} << 16) ? 16 : 256; }

std::string SegmentPath() { return "/dev/shm/lightning-microbench-" + std::to_string(getpid()); }

std::vector<std::string> MakeKeys(uint32_t count) {
  std::vector<std::string> keys;
  for (uint32_t i = 0; i < count; ++i) keys.push_back("user" + std::to_string(1'000'000'000 + i));
  return keys;
}

// A client of a fresh segment for values of `size` bytes.
Result<Client> MakeClient(Isolation mode, size_t size) {
  Options options;
  options.mode = OpenMode::kCreate;
  options.size = (uint64_t{32} << 20) + uint64_t{4} * HotKeys(size) * size;
  options.max_objects = 4096;
  options.isolation = mode;
  options.prefault = true;
  (void)Store::Remove(SegmentPath());
  const auto store = Store::Open(SegmentPath(), options);
  if (!store.ok()) return store.status();
  auto client = store->Connect();
  // The name has done its work: without it nothing is left behind, whatever happens.
  (void)Store::Remove(SegmentPath());
  return client;
}

enum class Operation { kPut, kGet, kDelete };

// One benchmark: `size` bytes a value, `operation` in turn on each of the hot keys.
void Measure(benchmark::State& state, Isolation mode, Operation operation, size_t size) {
  auto client = MakeClient(mode, size);
  if (!client.ok()) return state.SkipWithError(client.status().ToString().c_str());
  const std::vector<std::string> keys = MakeKeys(HotKeys(size));
  const std::vector<std::byte> value(size, std::byte{1});
  Status status;
  const auto put = [&](const std::string& key) {
    const auto version = client->Put(key, value);
    if (!version.ok()) status = version.status();
  };
  for (const std::string& key : keys) put(key);
  uint32_t next = 0;
  for (auto _ : state) {
    const std::string& key = keys[next];
    next = next + 1 == keys.size() ? 0 : next + 1;
    if (operation == Operation::kPut) {
      put(key);
    } else if (operation == Operation::kGet) {
      const auto handle = client->Get(key);
      if (!handle.ok()) status = handle.status();
    } else {
      status = client->Delete(key);
      if (next == 0) {  // all are gone: put them back outside the clock
        state.PauseTiming();
        for (const std::string& k : keys) put(k);
        state.ResumeTiming();
      }
    }
    if (!status.ok()) return state.SkipWithError(status.ToString().c_str());
  }
  if (operation == Operation::kPut) {
    state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * static_cast<int64_t>(size));
  }
}

void RegisterAll() {
  const std::pair<Operation, const char*> operations[] = {
      {Operation::kPut, "put"}, {Operation::kGet, "get"}, {Operation::kDelete, "delete"}};
  for (const Isolation mode : {Isolation::kNone, Isolation::kHidden, Isolation::kMprotect, Isolation::kKeys}) {
    const Status probe = MakeClient(mode, 1024).status();
    if (!probe.ok()) {
      std::fprintf(stderr, "mode %s is left out: %s\n", IsolationName(mode), probe.ToString().c_str());
      continue;
    }
    for (const auto& [operation, name] : operations) {
      for (const size_t size : {size_t{64}, size_t{1} << 10, size_t{64} << 10, size_t{1} << 20}) {
        const std::string full = std::string(name) + "/" + IsolationName(mode) + "/" + std::to_string(size);
        const auto run = [mode = mode, operation = operation, size](benchmark::State& state) {
          Measure(state, mode, operation, size);
        };
        benchmark::RegisterBenchmark(full.c_str(), run);
      }
    }
  }
}

}  // namespace
}  // namespace lightning::bench

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  lightning::bench::RegisterAll();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
