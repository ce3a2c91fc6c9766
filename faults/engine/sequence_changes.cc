// The operations of a sequence that change what is in the store.
#include <fmt/format.h>

#include <algorithm>

#include "faults/check/observe.h"
#include "faults/engine/sequence_runner.h"

namespace lightning::faults {
namespace {

struct Prepared {
  std::string value, metadata;
  PutOptions options;
  explicit Prepared(const Item& item)
      : value(Pattern(item.size, item.tag)), metadata(Pattern(item.metadata_size, MetadataTag(item.tag))) {
    options.metadata = AsBytes(metadata);
  }
};

}  // namespace

Item SequenceRunner::MakeItem(const Operation& operation, uint64_t number) const {
  return {operation.tag + number, operation.size, operation.metadata_size, false};
}

// Everything that the store has evicted since it was last asked: as many as it says, the least recently used first, and
// nothing else. What was put meanwhile may be there again.
std::string SequenceRunner::FollowEvictions(Seat& seat, const std::vector<std::string>& just_put) {
  if (!model_.limits().evicts) return "";
  const Result<std::vector<ObjectInfo>> list = seat.client->List();
  const Result<Stats> stats = seat.client->GetStats();
  if (!list.ok() || !stats.ok()) return "List or GetStats failed";
  const uint64_t evicted = stats->evictions - evictions_;
  evictions_ = stats->evictions;
  const std::vector<ObjectPtr> order = model_.EvictionOrder();
  if (evicted > order.size()) return fmt::format("{} evictions, and only {} could be", evicted, order.size());
  for (size_t i = 0; i < order.size(); ++i) {
    const std::string& key = order[i]->key;
    const auto at = std::lower_bound(list->begin(), list->end(), key,
                                     [](const ObjectInfo& info, const std::string& its) { return info.key < its; });
    const bool there = at != list->end() && at->key == key;
    const bool put_again = there && std::find(just_put.begin(), just_put.end(), key) != just_put.end();
    if (!there && i >= evicted)
      return fmt::format("{} was evicted, though {} objects were used less recently and {} were evicted", ShowKey(key),
                         i, evicted);
    if (there && i < evicted && !put_again)
      return fmt::format("{} evictions, but {}, used less recently than {} others, is still there", evicted,
                         ShowKey(key), order.size() - i - 1);
    if (i < evicted) model_.Delete(key, EventKind::kEvicted);
  }
  return "";
}

std::string SequenceRunner::JudgeFull(Seat& seat, Code code, uint64_t bytes, uint64_t more_objects, bool whole_pages) {
  if (model_.limits().evicts && !model_.EvictionOrder().empty())
    return fmt::format("{}, though {} could be evicted", CodeName(code), ShowKey(model_.EvictionOrder()[0]->key));
  if (code == Code::kTooManyObjects) {
    if (model_.objects() + more_objects > model_.limits().max_objects) return "";
    return fmt::format("TOO_MANY_OBJECTS with {} of {} and {} more", model_.objects(), model_.limits().max_objects,
                       more_objects);
  }
  std::string error = Recover(seat);
  if (!error.empty()) return error;
  const Result<Stats> stats = seat.client->GetStats();
  if (!stats.ok()) return Unexpected("GetStats", stats.status());
  const uint64_t slack = whole_pages ? 4096 - kGranule : 0;
  if (stats->largest_free >= bytes + slack)
    return fmt::format("SEGMENT_FULL for {} bytes, and the largest free extent has {}", bytes, stats->largest_free);
  return "";
}

std::string SequenceRunner::Put(Seat& seat, const Operation& operation, bool replace) {
  const std::string& key = keys_[operation.keys[0]];
  const Item item = MakeItem(operation, 0);
  const Prepared prepared(item);
  const ObjectPtr there = model_.Sealed(key);
  const uint64_t version = there == nullptr ? 1 : there->version + (operation.choice % 5 == 0 ? 1 : 0);
  const bool matches = there != nullptr && there->version == version;
  const Result<uint64_t> put = replace ? seat.client->Replace(key, AsBytes(prepared.value), version, prepared.options)
                                       : seat.client->Put(key, prepared.value, prepared.options);
  std::string error = put.ok() ? model_.CheckVersion(key, *put) : "";
  if (error.empty()) error = FollowEvictions(seat, put.ok() ? std::vector{key} : std::vector<std::string>{});
  if (!error.empty()) return error;
  if (put.ok()) {
    if (model_.Unsealed(key) != nullptr) return "Put of a key that is being created went well";
    if (replace && !matches) return "Replace of another version went well";
    model_.Put(seat.identity, key, item, *put);
    return "";
  }
  if (IsFull(put.code()))
    return JudgeFull(seat, put.code(), HeapBytes(key, item), model_.Sealed(key) == nullptr ? 1 : 0, false);
  Code expected = Code::kOk;
  if (model_.Unsealed(key) != nullptr) {
    expected = Code::kBeingCreated;
  } else if (replace) {
    expected = model_.Sealed(key) == nullptr ? Code::kNotFound : matches ? Code::kOk : Code::kVersionMismatch;
  }
  return put.code() == expected ? "" : Unexpected(replace ? "Replace" : "Put", put.status());
}

std::string SequenceRunner::PutBatch(Seat& seat, const Operation& operation) {
  std::vector<Prepared> prepared;
  std::vector<BatchItem> items;
  std::vector<Item> described;
  prepared.reserve(operation.keys.size());
  uint64_t bytes = 0, largest = 0;
  for (size_t i = 0; i < operation.keys.size(); ++i) {
    const std::string& key = keys_[operation.keys[i]];
    described.push_back(MakeItem(operation, i));
    prepared.emplace_back(described[i]);
    items.push_back({key, AsBytes(prepared[i].value), AsBytes(prepared[i].metadata)});
    bytes += HeapBytes(key, described[i]);
    largest = std::max(largest, HeapBytes(key, described[i]));
  }
  const Result<std::vector<uint64_t>> put = seat.client->PutBatch(items);
  std::vector<std::string> just_put;
  for (const uint32_t key : operation.keys) just_put.push_back(keys_[key]);
  std::string error = FollowEvictions(seat, put.ok() ? just_put : std::vector<std::string>{});
  if (!error.empty()) return error;
  uint64_t more = 0, being_created = 0;
  for (const uint32_t key : operation.keys) {
    more += model_.Sealed(keys_[key]) == nullptr ? 1 : 0;
    being_created += model_.Unsealed(keys_[key]) != nullptr ? 1 : 0;
  }
  if (!put.ok()) {
    // It may have got as far as writing events before it was undone.
    const uint64_t head = model_.event_head(), capacity = model_.limits().event_slots;
    unsure_before_ = std::max(unsure_before_, head + items.size() > capacity ? head + items.size() - capacity : 0);
    // The first ones may stand anywhere in the one large extent, while what others kept at hand still cut it up: it is
    // surely enough only when each can waste one of the largest.
    if (IsFull(put.code())) return JudgeFull(seat, put.code(), bytes + (items.size() - 1) * largest, more, false);
    return being_created != 0 && put.code() == Code::kBeingCreated ? "" : Unexpected("PutBatch", put.status());
  }
  if (being_created != 0) return "PutBatch with a key that is being created went well";
  if (put->size() != items.size()) return "PutBatch gave another number of versions than there were keys";
  for (size_t i = 0; i < items.size(); ++i) {
    const std::string& key = keys_[operation.keys[i]];
    error = model_.CheckVersion(key, (*put)[i]);
    if (!error.empty()) return error;
    model_.Put(seat.identity, key, described[i], (*put)[i]);
  }
  return "";
}

std::string SequenceRunner::Create(Seat& seat, uint32_t index, const Operation& operation) {
  if (writers_.size() >= 6) return Abort(operation);
  const std::string& key = keys_[operation.keys[0]];
  Item item = MakeItem(operation, 0);
  if (operation.choice % 16 == 0) item.size += kWholePagesFrom;
  item.whole_pages = item.size >= kWholePagesFrom;
  if (item.size > model_.limits().heap_bytes) item = MakeItem(operation, 0);
  const Prepared prepared(item);
  Result<Writer> writer = seat.client->Create(key, item.size, prepared.options);
  std::string error = FollowEvictions(seat, {});
  if (!error.empty()) return error;
  if (writer.ok()) {
    if (model_.Sealed(key) != nullptr || model_.Unsealed(key) != nullptr)
      return "Create of a key that is taken went well";
    if (writer->Writable().size() != item.size) return "Create gave another size than asked for";
    ++seat.references;
    writers_.push_back({std::move(*writer), model_.Create(seat.identity, key, item), index, seat.identity});
    return "";
  }
  if (IsFull(writer.code())) return JudgeFull(seat, writer.code(), HeapBytes(key, item), 1, item.whole_pages);
  // Its pages may fit where they do not together with a long key.
  const bool never_fits = HeapBytes(key, item) > model_.limits().heap_bytes;
  const Code expected = never_fits                        ? Code::kValueTooLarge
                        : model_.Sealed(key) != nullptr   ? Code::kAlreadyExists
                        : model_.Unsealed(key) != nullptr ? Code::kBeingCreated
                                                          : Code::kOk;
  return writer.code() == expected ? "" : Unexpected("Create", writer.status());
}

std::string SequenceRunner::Seal(const Operation& operation) {
  if (writers_.empty()) return "";
  auto at = writers_.begin();
  std::advance(at, static_cast<std::ptrdiff_t>(operation.choice % writers_.size()));
  const std::span<std::byte> writable = at->writer.Writable();
  FillPattern(writable.data(), writable.size(), at->object->item.tag);
  const Result<uint64_t> version = at->writer.Seal();
  if (!version.ok()) return Unexpected("Seal", version.status());
  std::string error = model_.CheckVersion(at->object->key, *version);
  model_.Seal(at->identity, at->object, *version);
  const uint32_t index = at->seat;
  writers_.erase(at);
  DropReference(index);
  return error;
}

std::string SequenceRunner::Abort(const Operation& operation) {
  if (writers_.empty()) return "";
  auto at = writers_.begin();
  std::advance(at, static_cast<std::ptrdiff_t>(operation.choice % writers_.size()));
  const Status status = at->writer.Abort();
  if (!status.ok()) return Unexpected("Abort", status);
  model_.Abort(at->object);
  const uint32_t index = at->seat;
  writers_.erase(at);
  DropReference(index);
  return "";
}

std::string SequenceRunner::Delete(Seat& seat, const Operation& operation) {
  const std::string& key = keys_[operation.keys[0]];
  const Status status = seat.client->Delete(key);
  const Code expected = model_.Sealed(key) != nullptr     ? Code::kOk
                        : model_.Unsealed(key) != nullptr ? Code::kBeingCreated
                                                          : Code::kNotFound;
  if (status.code() != expected) return Unexpected("Delete", status);
  model_.Delete(key);
  return "";
}

std::string SequenceRunner::Evict(Seat& seat, const Operation& operation) {
  const uint64_t bytes = operation.choice % 5 == 0 ? 0 : operation.size;
  std::vector<std::string> keys;
  const uint64_t expected = model_.PlanEviction(bytes, &keys);
  const Result<uint64_t> freed = seat.client->Evict(bytes);
  if (!freed.ok()) return Unexpected("Evict", freed.status());
  if (*freed != expected) return fmt::format("Evict of {} bytes freed {} instead of {}", bytes, *freed, expected);
  for (const std::string& key : keys) {
    const Result<bool> there = seat.client->Contains(key);
    if (!there.ok() || *there) return fmt::format("Evict left {}, which was used least recently", ShowKey(key));
    model_.Delete(key, EventKind::kEvicted);
  }
  evictions_ += keys.size();
  return JudgeStats(seat, false);
}

std::string SequenceRunner::Invalid(Seat& seat, const Operation& operation) {
  const std::string& key = keys_[operation.keys[0]];
  const std::string long_key(kMaxKeySize + 1, 'k');
  const std::string metadata(operation.choice % 8 == 2 ? kMaxMetadataSize + 1 : 0, 'm');
  PutOptions options;
  options.metadata = AsBytes(metadata);
  std::vector<BatchItem> items(operation.choice % 8 == 5 ? kMaxBatchSize + 1 : 2, BatchItem{key, {}, {}});
  Code code = Code::kOk, expected = Code::kInvalidKey;
  switch (operation.choice % 8) {
    case 0:
      code = seat.client->Put("", "value").code();
      break;
    case 1:
      code = seat.client->Get(long_key).code();
      break;
    case 2:
      code = seat.client->Put(key, "value", options).code();
      expected = Code::kMetadataTooLarge;
      break;
    case 3:
      code = seat.client->Create(key, model_.limits().heap_bytes + 1).code();
      expected = Code::kValueTooLarge;
      break;
    case 4:
    case 5:
      code = seat.client->PutBatch(items).code();
      expected = Code::kInvalidArgument;
      break;
    case 6:
      code = seat.client->Delete(long_key).code();
      break;
    case 7:
      code = seat.client->Replace("", {}, 1).code();
      break;
  }
  return code == expected ? "" : fmt::format("{} instead of {}", CodeName(code), CodeName(expected));
}

}  // namespace lightning::faults
