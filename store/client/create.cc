// Create, Seal, Abort: an object whose bytes its creator writes itself.
#include <cstring>
#include <new>

#include "store/client/cleanup.h"
#include "store/client/core.h"
#include "store/client/retry.h"
#include "store/index/eviction.h"

namespace lightning {
namespace {

// From this size on the creator gets a mapping of the object's own pages; below, a private buffer, copied at Seal.
constexpr uint64_t kExposeFrom = 64 * 1024;

}  // namespace

Result<ObjectId> ClientCore::TryCreate(const NewObject& object, SlotIndex* creator) {
  const Segment& segment = env_.segment;
  const Bucket& home = segment.home(object.key.hash);
  Window window(*gate_);
  Transaction t(env_, window, env_.self);
  Status status = t.Lock(t.slot().lock);
  if (status.ok()) status = Supply(t, object.page_aligned ? 0 : object.granules());
  if (status.ok()) status = t.Lock(home.lock);
  if (!status.ok()) return status;
  if (const Place place = index::Find(segment, home, object.key)) {
    if (!EntryUnsealed(place.entry)) return Code::kAlreadyExists;
    *creator = ObjectHead::Decode(segment.object(place.object()).head.Load()).owner;
    return Code::kBeingCreated;
  }
  Caches caches(t);
  if (!caches.HasCredit()) return Code::kTooManyObjects;
  caches.TakeCredit();
  Result<ObjectId> id = Build(t, object, ObjectState::kUnsealed);
  if (!id.ok()) return id;
  status = index::Insert(t, home, MakeEntry(*id, object.key.hash, object.size, /*unsealed=*/true),
                         ValueGranule(segment, segment.object(*id)));
  if (!status.ok()) return status;
  ListUnsealed(t, t.slot(), *id);
  t.Commit(0);
  return id;
}

Result<Writer> ClientCore::Create(std::string_view name, uint64_t size, const PutOptions& options) {
  const Status status = CheckArguments(name, size, options.metadata);
  if (!status.ok()) return status;
  const Key key(env_.segment, name);
  NewObject object{key, {}, options.metadata, size};
  object.page_aligned = size >= kExposeFrom;
  if (object.granules() > env_.segment.geometry().heap_granules) return Code::kValueTooLarge;
  Turn turn(*this, options.timeout);
  if (const Status entered = turn.Usable(); !entered.ok()) return entered;
  Writer writer;
  if (!object.page_aligned && size != 0) {
    auto* buffer = new (std::nothrow) std::byte[size]();
    if (buffer == nullptr) return Status(Code::kSystem, "no memory for the value's buffer", ENOMEM);
    writer.writable_ = {buffer, size};
  }
  const Result<ObjectId> id =
      Retry<Result<ObjectId>>(object.granules(), [&](SlotIndex* creator) { return TryCreate(object, creator); });
  if (!id.ok()) {
    delete[] writer.writable_.data();
    writer.writable_ = {};
    return id.status();
  }
  writer.core_ = this;
  writer.object_ = id->value;
  AddReference();
  if (!object.page_aligned) return writer;
  // Whole pages of this object alone.
  const uint64_t payload = env_.segment.object(*id).payload.Load();
  Result<std::span<std::byte>> pages = gate_->Expose(payload, RoundUp(size, kPageSize));
  if (!pages.ok()) {
    static_cast<void>(AbortLocked(writer));
    return pages.status();
  }
  writer.exposed_ = true;
  writer.writable_ = pages->first(size);
  return writer;
}

void ClientCore::ReleaseWriter(Writer& writer) {
  if (writer.exposed_) {
    const uint64_t size = RoundUp(writer.writable_.size(), kPageSize);
    gate_->Unexpose({writer.writable_.data(), size});
  } else {
    delete[] writer.writable_.data();
  }
  writer.writable_ = {};
  writer.core_ = nullptr;
}

Result<uint64_t> ClientCore::Seal(Writer& writer) {
  const Status usable = Usable();
  if (!usable.ok()) return usable;
  Turn turn(*this);
  if (const Status entered = turn.Usable(); !entered.ok()) return entered;
  const ObjectId id{writer.object_};
  const Segment& segment = env_.segment;
  const Object& object = segment.object(id);
  const std::string name = KeyOf(segment, object);
  const Key key(segment, name);
  const Bucket& home = segment.home(key.hash);
  if (writer.exposed_) {
    // Nobody may have a writable mapping of a sealed object, not even its maker.
    gate_->Unexpose({writer.writable_.data(), RoundUp(writer.writable_.size(), kPageSize)});
    writer.writable_ = {};
    writer.exposed_ = false;
  }
  Result<uint64_t> version = [&]() -> Result<uint64_t> {
    Window window(*gate_);
    CopyIn(window, object.payload.Load(), writer.writable_.data(), writer.writable_.size());
    Transaction t(env_, window, env_.self);
    Status status = t.Lock(t.slot().lock);
    if (status.ok()) status = t.Lock(home.lock);
    if (!status.ok()) return status;
    const Place place = index::FindObject(segment, home, id);
    LIGHTNING_ASSERT(place);
    const uint64_t next = index::NextVersion(t, home);
    t.Set(object.version, next);
    SealStaged(t, id);
    index::Replace(t, place, MakeEntry(id, key.hash, object.size.Load(), /*unsealed=*/false));
    status = AppendEvent(t, EventKind::kSealed, key.bytes, next, object.size.Load());
    if (!status.ok()) return status;
    t.Commit(0);
    return next;
  }();
  CleanPending();
  if (!version.ok()) return version;
  NoteUse(*page_, id, Ticks());
  page_->puts.store(page_->puts.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  ReleaseWriter(writer);
  Ring(key);
  return version;
}

Status ClientCore::AbortLocked(Writer& writer) {
  const ObjectId id{writer.object_};
  const Segment& segment = env_.segment;
  const Bucket& home = segment.home(HashOf(segment, segment.object(id)));
  const Status status = [&]() -> Status {
    Window window(*gate_);
    Transaction t(env_, window, env_.self);
    Status result = t.Lock(t.slot().lock);
    if (result.ok()) result = t.Lock(home.lock);
    if (!result.ok()) return result;
    const Place place = index::FindObject(segment, home, id);
    LIGHTNING_ASSERT(place);
    result = index::Remove(t, home, place);
    if (!result.ok()) return result;
    Caches(t).KeepCredit();
    UnlistUnsealed(t, t.slot(), id);
    result = ReleaseObject(t, id, /*to_centre=*/false);
    if (!result.ok()) return result;
    t.Commit(0);
    return {};
  }();
  CleanPending();
  // When a peer is in the way the object stays on our list, and is aborted when this client detaches.
  return status;
}

Status ClientCore::Abort(Writer& writer) {
  const Status usable = Usable();
  if (!usable.ok()) return usable;
  Turn turn(*this);
  if (const Status entered = turn.Usable(); !entered.ok()) return entered;
  // The mapping goes first, so that nothing can write where another object may stand next.
  const ObjectId id{writer.object_};
  ReleaseWriter(writer);
  writer.object_ = id.value;
  return AbortLocked(writer);
}

}  // namespace lightning
