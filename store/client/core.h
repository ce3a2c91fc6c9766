// One attached client: what Client, Handle, Writer and Subscription share. Lives until the last of them is gone.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "lightning/client.h"
#include "store/gate/gate.h"
#include "store/heap/caches.h"
#include "store/index/index.h"
#include "store/index/pins.h"
#include "store/index/retired.h"
#include "store/kernel/kernel.h"
#include "store/kernel/spin_lock.h"
#include "store/log/environment.h"
#include "store/log/transaction.h"

namespace lightning {

// What a client is made of. A harness puts in a gate over plain memory and a kernel of its own.
struct ClientParts {
  std::unique_ptr<Gate> gate;
  std::unique_ptr<Kernel> kernel;
  Geometry geometry;
  std::string path;
  Nanoseconds lock_timeout{1'000'000'000};
};

// What a put stores, apart from the bytes' places.
struct NewObject {
  const Key& key;
  Bytes value;
  Bytes metadata;
  uint64_t size = 0;  // of the value; more than value.size() when it is written later
  bool page_aligned = false;

  uint64_t granules() const {
    const uint64_t tail = (key.bytes.size() > kInlineKey ? key.bytes.size() : 0) + metadata.size();
    return Granules(ObjectFields::ValueRoom(size, page_aligned) + tail);
  }
};

class ClientCore {
 public:
  // Claims a slot; recovers dead clients when none is free. kTooManyClients, kTimeout.
  static Result<ClientCore*> Attach(ClientParts parts);
  static Result<Client> AttachClient(ClientParts parts);
  static ClientCore* Of(const Client& client) { return client.core_; }

  // A reference for each Client, Handle, Writer and Subscription; the last one detaches.
  void AddReference() { pins_->AddReference(); }
  void DropReference();

  // The operations of Client, on arguments that have not been checked. core/*.cc, one file a group.
  // `expected_version` null: whatever is there.
  Result<uint64_t> Put(std::string_view key, Bytes value, const PutOptions& options, const uint64_t* expected_version);
  Result<std::vector<uint64_t>> PutBatch(std::span<const BatchItem> items, Nanoseconds timeout);
  Result<Writer> Create(std::string_view key, uint64_t size, const PutOptions& options);
  Result<uint64_t> Seal(Writer& writer);
  Status Abort(Writer& writer);
  Nanoseconds Now() const { return kernel_->Now(); }
  Result<Handle> Get(std::string_view key, Nanoseconds timeout);
  Result<bool> Contains(std::string_view key);
  Status Delete(std::string_view key, Nanoseconds timeout);
  Result<std::vector<ObjectInfo>> List(std::string_view prefix);
  Result<uint64_t> Evict(uint64_t bytes);
  Result<Stats> GetStats();
  CheckReport Check();
  Result<RecoveryReport> Recover();
  Result<Subscription> Subscribe();
  Result<Event> NextEvent(Subscription& subscription, Nanoseconds timeout);
  void Unsubscribe();
  void Unpin(uint32_t pin);
  void ReleaseWriter(Writer& writer);

  // At the entry of each operation, before it takes its turn. kForked in a child of the process that attached;
  // kIsolationBroken when this thread is not in a state to enter.
  Status Usable() const {
    if (!env_.kernel->IsSameProcess()) return Code::kForked;
    // Only this thread itself could give the turn back that it waits for.
    if (turn_of_.load(std::memory_order_relaxed) == &open_windows) [[unlikely]]
      return HalfDone();
    return gate_->CheckEntry();
  }
  // The same for an operation that takes no turn: also whether a window was left open, which is shut then.
  Status UsableWithoutTurn() {
    const Status usable = Usable();
    if (usable.ok() && gate_->WindowIsOpen()) [[unlikely]]
      return NobodysWindow();
    return usable;
  }
  Isolation isolation() const { return gate_->mode(); }
  const std::string& path() const { return path_; }
  const Environment& environment() const { return env_; }
  Gate& gate() { return *gate_; }

 private:
  // The turn of one operation that opens a window, with the time it may wait for a living peer.
  class Turn {
   public:
    explicit Turn(ClientCore& core, Nanoseconds timeout = Nanoseconds{0}) : core_(core), lock_(core.turns_) {
      core.env_.lock_timeout = timeout.count() > 0 ? timeout : core.lock_timeout_;
      core.turn_of_.store(&open_windows, std::memory_order_relaxed);
    }
    ~Turn() {
      if (lock_.owns_lock()) GiveBack();
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

    // The rest of Usable, which only whoever has the turn can see. kIsolationBroken: the turn is given back.
    Status Usable() {
      if (!core_.gate_->FindsWindowLeftOpen()) [[likely]]
        return {};
      GiveBack();
      return LeftOpen();
    }

   private:
    void GiveBack() {
      core_.turn_of_.store(nullptr, std::memory_order_relaxed);
      lock_.unlock();
    }
    ClientCore& core_;
    std::unique_lock<SpinLock> lock_;
  };

  static Status HalfDone();
  static Status LeftOpen();
  Status NobodysWindow();

  explicit ClientCore(ClientParts parts);
  ~ClientCore();

  // Attaching (attach.cc).
  Status ClaimSlot();
  bool TryClaim(SlotIndex slot, Status* status);
  Status RecoverBeforeAttach();
  Status MapOwnPage();
  void Detach();
  void Leave();  // the last reference is gone

  // Writing (put.cc, create.cc). All REQUIRE a Turn.
  Status CheckArguments(std::string_view key, uint64_t size, Bytes metadata) const;
  // In its own committed transaction: ids, a block and credits into the caches. REQUIRES the slot's lock alone.
  Status Supply(Transaction& t, uint64_t granules);
  // An unlinked object with everything written but, for a staged one, the value. Takes Central::lock for large blocks.
  Result<ObjectId> Build(Transaction& t, const NewObject& object, ObjectState state);
  void PrefetchCurrent(const Key& key) const;
  void CopyIn(Window& window, uint64_t offset, const void* from, uint64_t size);
  // These three hand out the version through a pointer: a Result that is copied on the way is stored in narrow pieces
  // and loaded in wide ones, and such a load waits until the value's lines, stored before, have left the processor.
  Status TryPut(const NewObject& object, const uint64_t* expected_version, uint64_t* version, SlotIndex* creator);
  Status TryPutLarge(const NewObject& object, const uint64_t* expected_version, uint64_t* version, SlotIndex* creator);
  // Builds and fills an object that only this slot's list of unsealed objects knows.
  Result<ObjectId> Stage(const NewObject& object);
  Status Unstage(ObjectId id);
  // Makes a built object the one under its key, in the running transaction.
  Status Publish(Transaction& t, const Key& key, ObjectId id, const uint64_t* expected_version, uint64_t* version,
                 SlotIndex* creator);
  // The event of what Publish made, once the transaction needs no other lock any more.
  Status AppendSealed(Transaction& t, const Key& key, ObjectId id);
  Result<std::vector<uint64_t>> TryBatch(std::span<const Key> keys, std::span<const ObjectId> staged,
                                         SlotIndex* creator);
  Status SupplyCredits(Transaction& t, uint64_t wanted);
  Status AbortLocked(Writer& writer);
  // Takes a sealed object out of the index. REQUIRES the slot's and the home bucket's lock.
  Status Unlink(Transaction& t, const Bucket& home, const Place& place, std::string_view key, EventKind kind);
  Result<std::vector<ObjectId>> StageAll(std::span<const BatchItem> items, std::span<const Key> keys);
  Result<ObjectId> TryCreate(const NewObject& object, SlotIndex* creator);
  // After a change: drains what is due, and gives back what the caches hold too much of. REQUIRES the slot's lock
  // alone.
  void Tidy(Transaction& t);
  void GiveBack(Transaction& t);
  void SealStaged(Transaction& t, ObjectId id);
  // Runs `attempt` until it ends in something that neither more room nor the recovery of a dead creator can mend.
  // `Outcome` is Status or a Result.
  template <typename Outcome, typename Attempt>
  Outcome Retry(uint64_t granules, Attempt attempt);
  void Ring(const Key& key);
  void RingDoorbell(uint32_t index);

  // Room (reclaim.cc). REQUIRE a Turn, no window.
  Result<bool> MakeRoom(Code why, uint64_t granules, int attempt);
  // What clients keep at hand goes to the centre. Waits up to `patience` for those inside an operation.
  Result<uint64_t> Reclaim(Nanoseconds patience = Nanoseconds{0});
  Result<uint64_t> ReclaimSlot(SlotIndex slot, Nanoseconds patience = Nanoseconds{0});
  Status LockPatiently(Transaction& t, const LockWord& lock, Nanoseconds patience);
  // Whether the centre has what was missing.
  bool HasRoom(Code missing, uint64_t granules) const;
  struct Evicted {
    uint64_t bytes = 0, objects = 0;
  };
  // At least so many bytes and so many objects, as far as there are any.
  Result<Evicted> EvictLocked(uint64_t bytes, uint64_t objects);
  Result<bool> EvictOne(ObjectId id);
  // Heals the dead. REQUIRE a Turn, no window.
  Result<uint32_t> RecoverDead();
  Result<bool> RecoverSlot(SlotIndex slot);
  void CleanPending();

  void UnsubscribeLocked();
  Code ReadEvent(Subscription& subscription, uint64_t head, Event* event);

  // Reading (get.cc). One look, good if the home bucket's lock word is still `word`; kTimeout means "look again".
  Code TryGet(const Key& key, const Bucket& home, uint64_t word, Handle* handle);
  // Waits while somebody holds `lock`; a dead owner is healed.
  Status WaitOut(const LockWord& lock, LockWait& wait);
  // Sleeps until the doorbell rings or `limit` passes, unless `ready()`.
  template <typename Ready>
  void Sleep(uint32_t doorbell, Nanoseconds limit, Ready ready) {
    constexpr Nanoseconds kLongest{2'000'000};  // doorbells are hints: the truth is looked at again at least so often
    Doorbell& bell = doorbells_[doorbell];
    const uint32_t rung = bell.rung.load();
    bell.waiting.exchange(1);
    if (!ready()) kernel_->Wait(bell.rung, rung, std::min(limit, kLongest));
  }

  std::unique_ptr<Gate> gate_;
  std::unique_ptr<Kernel> kernel_;
  std::string path_;
  const Nanoseconds lock_timeout_;
  Environment env_;
  ClientPage* page_ = nullptr;  // this client's own, writable, outside the gate
  Doorbell* doorbells_ = nullptr;
  std::span<std::byte> exposed_page_, exposed_doorbells_;
  std::unique_ptr<PinTable> pins_;
  SpinLock turns_;                             // operations that open a window take turns
  std::atomic<const void*> turn_of_{nullptr};  // a thread-local of the thread whose turn it is
  PinnedObjects pinned_;
  uint64_t kept_ = 0;  // retired objects that the last drain had to keep
};

// Appends an event to the ring when somebody listens; takes Central::event_lock. Entries: 1.
Status AppendEvent(Transaction& t, EventKind kind, std::string_view key, uint64_t version, uint64_t size);

}  // namespace lightning
