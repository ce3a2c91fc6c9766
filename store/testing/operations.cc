#include "store/testing/operations.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace lightning::test {
namespace {

void Must(bool done) { LIGHTNING_ASSERT(done); }

// Keys of one chain, by number.
const std::string& K(size_t i) {
  static const std::vector<std::string> keys = CollidingKeys(MemorySegment(StageOptions()).segment(), 16);
  return keys.at(i);
}

void PutKeys(Stage& s, size_t count) {
  for (size_t i = 0; i < count; ++i) Must(s.client.Put(K(i), std::string(40 + 60 * i, 'a')).ok());
}

void Listen(Stage& s) {
  s.listener.emplace(std::move(*s.memory.Attach(s.world)));
  s.subscription.emplace(std::move(*s.listener->Subscribe()));
}

// A batch that replaces one key and adds `added`.
void PutBatch(Stage& s, size_t added) {
  std::vector<BatchItem> items;
  for (size_t i = 0; i <= added; ++i) items.push_back({K(kBucketEntries - 1 + i), AsBytes("batch"), AsBytes("m")});
  Must(s.client.PutBatch(items).ok());
}

void StartWriter(Stage& s, uint64_t size) {
  s.writer.emplace(std::move(*s.client.Create(K(kBucketEntries), size)));
  std::memset(s.writer->Writable().data(), 'w', size);
}

const auto kNothing = [](Stage&) {};
const auto kFull = [](Stage& s) { PutKeys(s, kBucketEntries); };
const auto kOver = [](Stage& s) { PutKeys(s, kBucketEntries + 1); };

std::vector<Operation> Puts() {
  return {
      {"PutFirst", kNothing, [](Stage& s) { Must(s.client.Put("first", "value").ok()); }},
      {"PutInsert", [](Stage& s) { PutKeys(s, 3); }, [](Stage& s) { Must(s.client.Put(K(3), "value").ok()); }},
      {"PutInsertGrowsTheChain", kFull, [](Stage& s) { Must(s.client.Put(K(kBucketEntries), "value").ok()); }},
      {"PutLongKeyAndMetadata", kFull,
       [](Stage& s) {
         Must(s.client.Put(std::string(90, 'k'), "value", {AsBytes("metadata"), {}}).ok());
       }},
      {"PutEmpty", kFull, [](Stage& s) { Must(s.client.Put("empty", "").ok()); }},
      {"PutReplace", kFull, [](Stage& s) { Must(s.client.Put(K(2), std::string(200, 'b')).ok()); }},
      {"PutReplaceHeard",
       [](Stage& s) {
         PutKeys(s, kBucketEntries);
         Listen(s);
       },
       [](Stage& s) { Must(s.client.Put(K(2), "new").ok()); }},
      {"PutLarge", kFull, [](Stage& s) { Must(s.client.Put(K(2), std::string(70'000, 'b')).ok()); }},
      {"PutRefused", kFull, [](Stage& s) { Must(!s.client.Replace(K(2), AsBytes("x"), 999).ok()); }},
      {"PutDrainsWhatIsRetired",
       [](Stage& s) {
         PutKeys(s, kBucketEntries);
         while (s.memory.segment().slot(0).retired_count.Load() < 31) Must(s.client.Put(K(2), "x").ok());
       },
       [](Stage& s) { Must(s.client.Put(K(2), "y").ok()); }},
      {"PutEvicts",
       [](Stage& s) {
         for (uint32_t i = 0; s.client.GetStats()->objects < StageOptions().max_objects; ++i)
           Must(s.client.Put(Numbered("filler", i), "v").ok());
       },
       [](Stage& s) { Must(s.client.Put("one more", "v").ok()); }},
      {"Batch", kFull, [](Stage& s) { PutBatch(s, 3); }},
      {"BatchHeard",
       [](Stage& s) {
         PutKeys(s, kBucketEntries);
         Listen(s);
       },
       [](Stage& s) { PutBatch(s, 4); }},
      {"BatchRefused",
       [](Stage& s) {
         PutKeys(s, kBucketEntries);
         StartWriter(s, 10);
       },
       [](Stage& s) {
         const BatchItem items[] = {{K(1), AsBytes("1"), {}},
                                    {K(kBucketEntries + 1), AsBytes("2"), {}},
                                    {K(kBucketEntries), AsBytes("3"), {}}};
         Must(s.client.PutBatch(items).code() == Code::kBeingCreated);
       }},
  };
}

std::vector<Operation> Others() {
  return {
      {"DeleteShrinksTheChain", kOver, [](Stage& s) { Must(s.client.Delete(K(1)).ok()); }},
      {"DeleteHeard",
       [](Stage& s) {
         PutKeys(s, 3);
         Listen(s);
       },
       [](Stage& s) { Must(s.client.Delete(K(1)).ok()); }},
      {"CreateSmall", kFull, [](Stage& s) { s.writer.emplace(std::move(*s.client.Create(K(kBucketEntries), 100))); }},
      {"CreateLarge", kFull,
       [](Stage& s) { s.writer.emplace(std::move(*s.client.Create(K(kBucketEntries), 70'000))); }},
      {"SealSmall",
       [](Stage& s) {
         PutKeys(s, kBucketEntries);
         StartWriter(s, 100);
       },
       [](Stage& s) { Must(s.writer->Seal().ok()); }},
      {"SealLargeHeard",
       [](Stage& s) {
         PutKeys(s, kBucketEntries);
         Listen(s);
         StartWriter(s, 70'000);
       },
       [](Stage& s) { Must(s.writer->Seal().ok()); }},
      {"Abort",
       [](Stage& s) {
         PutKeys(s, kBucketEntries);
         StartWriter(s, 70'000);
       },
       [](Stage& s) { Must(s.writer->Abort().ok()); }},
      {"Evict", kOver, [](Stage& s) { Must(s.client.Evict(100).ok()); }},
      {"Subscribe", kFull, [](Stage& s) { s.subscription.emplace(std::move(*s.client.Subscribe())); }},
      {"Unsubscribe", [](Stage& s) { s.subscription.emplace(std::move(*s.client.Subscribe())); },
       [](Stage& s) { s.subscription.reset(); }},
      {"Recover",
       [](Stage& s) {
         PutKeys(s, kBucketEntries + 1);
         s.handle.emplace(std::move(*s.client.Get(K(1))));
         for (size_t i = 0; i < 4; ++i) Must(s.client.Delete(K(i)).ok());
       },
       [](Stage& s) { Must(s.client.Recover().ok()); }},
      {"Get", kOver, [](Stage& s) { s.handle.emplace(std::move(*s.client.Get(K(3)))); }},
      {"Attach", kFull, [](Stage& s) { s.listener.emplace(std::move(*s.memory.Attach(s.world))); }},
      {"Detach",
       [](Stage& s) {
         PutKeys(s, kBucketEntries + 1);
         for (size_t i = 0; i < 4; ++i) Must(s.client.Delete(K(i)).ok());
       },
       [](Stage& s) { s.client.Close(); }},
  };
}

}  // namespace

Options StageOptions() {
  Options options = SmallOptions();
  options.size = 512 << 10;
  options.max_objects = 20;
  options.event_slots = 4;
  options.eviction = Eviction::kLru;
  return options;
}

std::vector<Operation> AllOperations() {
  std::vector<Operation> all = Puts();
  for (Operation& operation : Others()) all.push_back(std::move(operation));
  return all;
}

std::string OperationName(const Operation& operation) { return operation.name; }

}  // namespace lightning::test
