// Put and Replace: one transaction for small values; for large ones two, with the copy between them, so that no lock is
// held while many bytes move.
#include <algorithm>
#include <cstring>

#include "store/client/cleanup.h"
#include "store/client/core.h"
#include "store/client/retry.h"

namespace lightning {

// The bound of rule 4, for each of the transactions below.
namespace {
constexpr uint32_t kBuildEntries = 1 + 2 + 4 + kKeyWords + 3;  // id, block, fields, key, storage, links, tick
constexpr uint32_t kPublishEntries = 2 + 1 + 3 + index::kInsertEntries + 1 + Retired::kAddEntries +
                                     1;  // head, versions, unlist, entry, credit, old, event
static_assert(kBuildEntries + BlockHeap::kAllocateEntries + 3 + kPublishEntries < kLogCapacity);
static_assert(kMaxBatchSize * kPublishEntries < kLogCapacity);
static_assert(8 * (3 + kReleaseEntries) < kLogCapacity);                                          // a drain
static_assert(Caches::kRefill * (4 + 2 + BlockHeap::kAllocateEntries) + 2 < kLogCapacity);        // a refill
static_assert(Caches::kRefill * (BlockHeap::kFreeEntries + 3) + kBlockCache + 4 < kLogCapacity);  // giving back
}  // namespace

Status ClientCore::CheckArguments(std::string_view key, uint64_t size, Bytes metadata) const {
  const Status usable = Usable();
  if (!usable.ok()) return usable;
  if (key.empty() || key.size() > kMaxKeySize) return Code::kInvalidKey;
  if (metadata.size() > kMaxMetadataSize) return Code::kMetadataTooLarge;
  // With what stands beside it: else a put that can never succeed would first evict everything.
  const uint64_t heap = uint64_t{env_.segment.geometry().heap_granules} * kGranule;
  const uint64_t tail = (key.size() > kInlineKey ? key.size() : 0) + metadata.size();
  if (size > heap || ObjectFields::ValueRoom(size, false) + tail > heap) return Code::kValueTooLarge;
  if (gate_->Overlaps(key.data(), key.size()) || gate_->Overlaps(metadata.data(), metadata.size()))
    return Status(Code::kInvalidArgument, "the bytes lie in the store's control mapping");
  return {};
}

Status ClientCore::Supply(Transaction& t, uint64_t granules) {
  Caches caches(t);
  const Central& central = env_.segment.central();
  const bool small = granules != 0 && granules <= Caches::kLargestCached;
  const bool block = small && !caches.HasBlock(static_cast<uint32_t>(granules));
  const bool credit = !caches.HasCredit() && central.credits.Load() != 0;
  if (caches.HasId() && !block && !credit) return {};
  const Status status = t.Lock(central.lock);
  if (!status.ok()) return status;
  if (!caches.HasId()) caches.FetchIds();
  if (block) {
    if (caches.FullOfBlocks()) caches.GiveBlocks(2 * Caches::kRefill);
    caches.FetchBlocks(static_cast<uint32_t>(granules));
  }
  if (!caches.HasCredit()) caches.FetchCredits(1);
  const bool supplied = caches.HasId() && (!small || caches.HasBlock(static_cast<uint32_t>(granules)));
  const Code missing = caches.HasId() ? Code::kSegmentFull : Code::kTooManyObjects;
  t.Commit(1);
  return supplied ? Status() : Status(missing);
}

Result<ObjectId> ClientCore::Build(Transaction& t, const NewObject& object, ObjectState state) {
  const Segment& segment = env_.segment;
  const uint64_t granules = object.granules();
  Caches caches(t);
  Caches::Extent extent;
  if (granules > Caches::kLargestCached || object.page_aligned) {
    if (granules > segment.geometry().heap_granules) return Code::kSegmentFull;
    const Status status = t.Lock(segment.central().lock);
    if (!status.ok()) return status;
    const auto count = static_cast<uint32_t>(granules);
    extent.id = object.page_aligned ? BlockHeap(t).AllocateOnPage(count) : BlockHeap(t).Allocate(count);
    if (!extent.id) return Code::kSegmentFull;
    extent.place = High(segment.block(extent.id).extent.Load());
  } else if (granules != 0) {
    extent = caches.TakeBlock(static_cast<uint32_t>(granules));
  }
  const ObjectId id = caches.TakeId();
  const Object& target = segment.object(id);
  const auto key_size = static_cast<uint16_t>(object.key.bytes.size());
  const uint64_t payload = extent.id ? segment.geometry().heap + uint64_t{extent.place} * kGranule : 0;
  const ObjectHead head{state, object.page_aligned, key_size, static_cast<uint16_t>(t.acting())};
  const uint64_t storage = Pack(static_cast<uint32_t>(object.metadata.size()), extent.id.value);
  t.Set({{target.head, head.Encode()},
         {target.payload, payload},
         {target.size, object.size},
         {target.storage, storage},
         {target.tick, Ticks()}});
  // Three words are the longest key that most programs have.
  const uint64_t* const words = object.key.words;
  uint32_t word = 0;
  for (; word + 3 <= object.key.words_used; word += 3)
    t.Set({{target.key[word], words[word]},
           {target.key[word + 1], words[word + 1]},
           {target.key[word + 2], words[word + 2]}});
  for (; word < object.key.words_used; ++word) t.Set(target.key[word], words[word]);
  if (key_size > kInlineKey || !object.metadata.empty()) {
    const ObjectFields fields = ObjectFields::Read(target);
    if (fields.long_key()) CopyIn(t.window(), fields.tail(), object.key.bytes.data(), key_size);
    CopyIn(t.window(), fields.metadata(), object.metadata.data(), object.metadata.size());
  }
  return id;
}

void ClientCore::CopyIn(Window& window, uint64_t offset, const void* from, uint64_t size) {
  if (size != 0) memcpy(window.Payload(offset, size), from, size);
}

Status ClientCore::Publish(Transaction& t, const Key& key, ObjectId id, const uint64_t* expected_version,
                           uint64_t* new_version, SlotIndex* creator) {
  const Segment& segment = env_.segment;
  const Bucket& home = segment.home(key.hash);
  const Place place = index::Find(segment, home, key);
  if (place && EntryUnsealed(place.entry)) {
    *creator = ObjectHead::Decode(segment.object(place.object()).head.Load()).owner;
    return Code::kBeingCreated;
  }
  if (expected_version != nullptr) {
    if (!place) return Code::kNotFound;
    if (segment.object(place.object()).version.Load() != *expected_version) return Code::kVersionMismatch;
  }
  const uint64_t version = home.versions.Load() + 1;
  const Object& object = segment.object(id);
  const uint64_t entry = MakeEntry(id, key.hash, object.size.Load(), /*unsealed=*/false);
  const uint32_t granule = ValueGranule(segment, object);
  if (place) {
    t.Set({{home.versions, version},
           {object.version, version},
           {place.value_cell(), place.WithValue(granule)},
           {place.cell(), entry}});
    Retired(t).Add(place.object());
  } else {
    Caches caches(t);
    if (!caches.HasCredit()) return Code::kTooManyObjects;
    caches.TakeCredit();
    t.Set({{home.versions, version}, {object.version, version}});
    const Status status = index::Insert(t, home, entry, granule);
    if (!status.ok()) return status;
  }
  *new_version = version;
  return {};
}

Status ClientCore::AppendSealed(Transaction& t, const Key& key, ObjectId id) {
  const Object& object = env_.segment.object(id);
  return AppendEvent(t, EventKind::kSealed, key.bytes, object.version.Load(), object.size.Load());
}

Status ClientCore::TryPut(const NewObject& object, const uint64_t* expected_version, uint64_t* version,
                          SlotIndex* creator) {
  Window window(*gate_);
  Transaction t(env_, window, env_.self);
  Status status = t.Lock(t.slot().lock);
  if (!status.ok()) return status;
  const uint64_t granules = object.granules();
  status = Supply(t, granules);
  if (!status.ok()) return status;
  const Result<ObjectId> id = Build(t, object, ObjectState::kSealed);
  if (!id.ok()) return id.status();
  // The bucket's lock comes before a short copy: nothing after the copy then waits until its stores have left the
  // processor. A long one would keep others waiting.
  const LockWord& lock = env_.segment.home(object.key.hash).lock;
  PrefetchCurrent(object.key);
  if (granules <= Caches::kLarge) status = t.Lock(lock);
  if (!status.ok()) return status;
  CopyIn(window, env_.segment.object(*id).payload.Load(), object.value.data(), object.value.size());
  if (granules > Caches::kLarge) status = t.Lock(lock);
  if (!status.ok()) return status;
  status = Publish(t, object.key, *id, expected_version, version, creator);
  if (!status.ok()) return status;
  status = AppendSealed(t, object.key, *id);
  if (!status.ok()) return status;
  t.Commit(1);
  Tidy(t);
  Caches(t).PrefetchNext(static_cast<uint32_t>(granules));
  return {};
}

void ClientCore::PrefetchCurrent(const Key& key) const {
  const Place place = index::Guess(env_.segment, env_.segment.home(key.hash), key.hash);
  if (!place) return;
  const auto* lines = reinterpret_cast<const std::byte*>(&env_.segment.object(place.object()));
  __builtin_prefetch(lines, 1);
  __builtin_prefetch(lines + 64, 1);
}

Result<ObjectId> ClientCore::Stage(const NewObject& object) {
  Window window(*gate_);
  Transaction t(env_, window, env_.self);
  Status status = t.Lock(t.slot().lock);
  if (!status.ok()) return status;
  status = Supply(t, object.granules());
  if (!status.ok()) return status;
  Result<ObjectId> id = Build(t, object, ObjectState::kUnsealed);
  if (!id.ok()) return id;
  ListUnsealed(t, t.slot(), *id);
  t.Commit(0);
  // The locks are free while the bytes move.
  CopyIn(window, env_.segment.object(*id).payload.Load(), object.value.data(), object.value.size());
  return id;
}

Status ClientCore::Unstage(ObjectId id) {
  Window window(*gate_);
  Transaction t(env_, window, env_.self);
  Status status = t.Lock(t.slot().lock);
  if (!status.ok()) return status;
  UnlistUnsealed(t, t.slot(), id);
  status = ReleaseObject(t, id, /*to_centre=*/false);
  if (status.ok()) t.Commit(0);
  return status;
}

Status ClientCore::TryPutLarge(const NewObject& object, const uint64_t* expected_version, uint64_t* version,
                               SlotIndex* creator) {
  const Result<ObjectId> id = Stage(object);
  if (!id.ok()) return id.status();
  const Status published = [&]() -> Status {
    Window window(*gate_);
    Transaction t(env_, window, env_.self);
    Status status = t.Lock(t.slot().lock);
    if (status.ok()) status = t.Lock(env_.segment.home(object.key.hash).lock);
    if (!status.ok()) return status;
    SealStaged(t, *id);
    status = Publish(t, object.key, *id, expected_version, version, creator);
    if (status.ok()) status = AppendSealed(t, object.key, *id);
    if (!status.ok()) return status;
    t.Commit(1);
    Tidy(t);
    return {};
  }();
  if (published.ok()) return {};
  const Status status = Unstage(*id);
  return status.ok() ? published : status;
}

void ClientCore::SealStaged(Transaction& t, ObjectId id) {
  const Object& object = env_.segment.object(id);
  ObjectHead head = ObjectHead::Decode(object.head.Load());
  head.state = ObjectState::kSealed;
  UnlistUnsealed(t, t.slot(), id);
  t.Set(object.head, head.Encode());
}

void ClientCore::Tidy(Transaction& t) {
  Retired retired(t);
  Caches caches(t);
  if (retired.Due(kept_)) {
    t.window().Suspend();
    pinned_.Collect(env_.segment);
    t.window().Resume();
    // Room for what comes; a failure leaves everything where it was, for the next time.
    if (caches.FullOfBlocks() || caches.FullOfIds()) GiveBack(t);
    static_cast<void>(retired.Drain(pinned_, /*to_centre=*/false, 1).ok());
    kept_ = t.slot().retired_count.Load();
  }
  if (caches.FullOfBlocks() || caches.FullOfIds() || caches.FullOfCredits()) GiveBack(t);
}

void ClientCore::GiveBack(Transaction& t) {
  if (!t.Lock(env_.segment.central().lock).ok()) return;
  Caches caches(t);
  if (caches.FullOfBlocks()) caches.GiveBlocks(2 * Caches::kRefill);
  if (caches.FullOfIds()) caches.GiveIds(2 * Caches::kRefill);
  if (caches.FullOfCredits()) caches.GiveCredits(Caches::kCredits);
  t.Commit(1);
}

void ClientCore::Ring(const Key& key) {
  RingDoorbell(1 + static_cast<uint32_t>(key.hash % (kDoorbells - 1)));
  if (env_.segment.central().subscribers.Load() != 0) RingDoorbell(kEventDoorbell);
}

void ClientCore::RingDoorbell(uint32_t index) {
  Doorbell& bell = doorbells_[index];
  if (bell.waiting.load(std::memory_order_relaxed) == 0) return;
  bell.waiting.store(0, std::memory_order_relaxed);
  bell.rung.fetch_add(1);
  kernel_->WakeAll(bell.rung);
}

Result<uint64_t> ClientCore::Put(std::string_view key, Bytes value, const PutOptions& options,
                                 const uint64_t* expected_version) {
  const Status status = CheckArguments(key, value.size(), options.metadata);
  if (!status.ok()) return status;
  if (gate_->Overlaps(value.data(), value.size()))
    return Status(Code::kInvalidArgument, "the bytes lie in the store's control mapping");
  const Key prepared(env_.segment, key);
  index::PrefetchHome<1>(env_.segment.home(prepared.hash));
  const NewObject object{prepared, value, options.metadata, value.size()};
  const uint64_t granules = object.granules();
  Turn turn(*this, options.timeout);
  if (const Status entered = turn.Usable(); !entered.ok()) return entered;
  uint64_t version = 0;
  const Status done = Retry<Status>(granules, [&](SlotIndex* creator) {
    return granules > Caches::kLargestCached ? TryPutLarge(object, expected_version, &version, creator)
                                             : TryPut(object, expected_version, &version, creator);
  });
  page_->puts.store(page_->puts.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  if (!done.ok()) return done;
  Ring(prepared);
  return version;
}

}  // namespace lightning
