#include "store/client/cleanup.h"

#include "store/index/index.h"
#include "store/index/retired.h"

namespace lightning {
namespace {

// One unsealed object, with its entry if it has one, in one transaction.
Status AbortOne(Transaction& t, ObjectId id) {
  const Segment& segment = t.segment();
  const Bucket& home = segment.home(HashOf(segment, segment.object(id)));
  Status status = t.Lock(home.lock);
  if (!status.ok()) return status;
  if (const Place place = index::FindObject(segment, home, id)) {
    status = index::Remove(t, home, place);
    if (!status.ok()) return status;
    Caches(t).KeepCredit();
  }
  UnlistUnsealed(t, t.slot(), id);
  status = ReleaseObject(t, id, /*to_centre=*/true);
  if (!status.ok()) return status;
  t.Commit(1);
  return {};
}

void DropPins(Window& window, const Segment& segment, SlotIndex slot) {
  const Geometry& g = segment.geometry();
  const uint64_t page = g.ClientPageOffset(slot);
  window.Clear(page + offsetof(ClientPage, pins), sizeof(ClientPage::pins) * uint64_t{g.max_pins});
  window.Clear(page + offsetof(ClientPage, pins_used), sizeof(ClientPage::pins_used));
}

Status GiveBackCaches(Transaction& t) {
  Caches caches(t);
  for (;;) {
    const Status status = t.Lock(t.segment().central().lock);
    if (!status.ok()) return status;
    const bool blocks = caches.GiveBlocks(Caches::kRefill);
    const bool ids = caches.GiveIds(Caches::kRefill);
    const bool credits = caches.GiveCredits(0);
    t.Commit(1);
    if (!blocks && !ids && !credits) return {};
  }
}

// The slot's last transaction: after it, nothing of the client is left but its number.
Status Leave(Transaction& t, bool died) {
  const Central& central = t.segment().central();
  Status status = t.Lock(central.lock);
  if (status.ok()) status = t.Lock(central.event_lock);
  if (!status.ok()) return status;
  if (const uint64_t subscriptions = t.slot().subscriptions.Load(); subscriptions != 0) {
    t.Add(central.subscribers, ~subscriptions + 1);
    t.Set(t.slot().subscriptions, 0);
  }
  if (died) t.Add(central.recoveries, 1);
  t.Commit(1);
  return {};
}

}  // namespace

void ListUnsealed(Transaction& t, const Slot& slot, ObjectId id) {
  const uint32_t head = Low(slot.unsealed_head.Load());
  t.Set(t.segment().object(id).links, Pack(0, head));
  if (const ObjectId next{head}) {
    const Cell& its = t.segment().object(next).links;
    t.Set(its, Pack(id.value, Low(its.Load())));
  }
  t.Set(slot.unsealed_head, id.value);
}

void UnlistUnsealed(Transaction& t, const Slot& slot, ObjectId id) {
  const uint64_t links = t.segment().object(id).links.Load();
  const ObjectId previous{High(links)}, next{Low(links)};
  if (next) {
    const Cell& its = t.segment().object(next).links;
    t.Set(its, Pack(previous.value, Low(its.Load())));
  }
  if (previous) {
    const Cell& its = t.segment().object(previous).links;
    t.Set(its, Pack(High(its.Load()), next.value));
  } else {
    t.Set(slot.unsealed_head, next.value);
  }
}

Status CleanUp(Environment& environment, Window& window, SlotIndex slot, bool died, PinnedObjects* scratch) {
  Transaction t(environment, window, slot);
  Status status = t.Lock(t.slot().lock);
  if (!status.ok()) return status;
  DropPins(window, environment.segment, slot);
  uint32_t left = environment.segment.geometry().objects;  // a list that leads back into itself is no list
  while (const ObjectId id{Low(t.slot().unsealed_head.Load())}) {
    LIGHTNING_ASSERT(left-- > 0);
    status = AbortOne(t, id);
    if (!status.ok()) return status;
  }
  Retired retired(t);
  if (!retired.empty()) {
    window.Suspend();
    scratch->Collect(environment.segment);
    window.Resume();
    const Result<uint64_t> drained = retired.Drain(*scratch, /*to_centre=*/true, 1);
    if (!drained.ok()) return drained.status();
    status = retired.Orphan(1);
    if (!status.ok()) return status;
  }
  status = GiveBackCaches(t);
  if (!status.ok()) return status;
  return Leave(t, died);
}

}  // namespace lightning
