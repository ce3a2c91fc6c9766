// What a stray write may hit.
#include "pkeys_tests/routes/arena.h"
#include "pkeys_tests/routes/mappings.h"

namespace lightning::routes {
namespace {

template <typename Place>
std::byte* Control(Arena& arena, const Place& place) {
  return arena.control() + arena.segment().OffsetOf(&place);
}
template <typename Place>
std::byte* View(const Place& place) {
  return reinterpret_cast<std::byte*>(const_cast<Place*>(&place));
}

std::byte* Superblock(Arena& arena) { return arena.control(); }
std::byte* CentralState(Arena& arena) { return Control(arena, arena.segment().central().free_granules); }
std::byte* CentralLock(Arena& arena) { return Control(arena, arena.segment().central().lock); }
std::byte* OwnSlot(Arena& arena) { return Control(arena, arena.slot().pid); }
std::byte* SlotState(Arena& arena) { return Control(arena, arena.slot().state); }
std::byte* SlotLock(Arena& arena) { return Control(arena, arena.slot().lock); }
std::byte* LogCount(Arena& arena) { return Control(arena, arena.slot().log_count); }
std::byte* UndoLog(Arena& arena) { return Control(arena, arena.slot().log[64]); }
std::byte* Index(Arena& arena) { return Control(arena, arena.segment().home_at(3).first.entries[0]); }
std::byte* BucketLock(Arena& arena) { return Control(arena, arena.segment().home_at(3).lock); }
std::byte* ObjectTable(Arena& arena) { return Control(arena, arena.segment().object(ObjectId{1})); }
std::byte* BlockTable(Arena& arena) { return Control(arena, arena.segment().block(BlockId{1})); }
std::byte* EventRing(Arena& arena) { return arena.control() + arena.geometry().events; }
std::byte* FreeHeap(Arena& arena) {
  return arena.control() + (arena.geometry().heap + arena.size()) / 2 / kPageSize * kPageSize;
}
std::byte* LastPage(Arena& arena) { return arena.control() + arena.size() - kPageSize; }
std::byte* Unsealed(Arena& arena) { return arena.control() + arena.unsealed_offset(); }
std::byte* Sealed(Arena& arena) { return arena.control() + arena.segment().OffsetOf(arena.sealed().data()); }
// Through the read-only view, by which all reads go.
std::byte* SealedView(Arena& arena) { return View(*arena.sealed().data()); }
std::byte* LogView(Arena& arena) { return View(arena.slot().log[64]); }
std::byte* SuperblockView(Arena& arena) { return View(arena.segment().super()); }
// What the gate does not guard, by design: whose they are can write them at any time.
std::byte* Exposed(Arena& arena, uint64_t offset) {
  for (const Mapping& mapping : MappingsOf(arena.path())) {
    if (mapping.size == arena.size() || !mapping.writable) continue;
    if (mapping.offset <= offset && offset < mapping.offset + mapping.size)
      return mapping.begin + (offset - mapping.offset);
  }
  return arena.control() + offset;
}
std::byte* ClientPage(Arena& arena) { return Exposed(arena, arena.geometry().ClientPageOffset(0) + 64); }
std::byte* Doorbells(Arena& arena) { return Exposed(arena, arena.geometry().doorbells); }
std::byte* ClientPageGuarded(Arena& arena) { return arena.control() + arena.geometry().ClientPageOffset(0) + 64; }
std::byte* DoorbellsGuarded(Arena& arena) { return arena.control() + arena.geometry().doorbells; }
std::byte* UnsealedHere(Arena& arena) { return arena.others_writer().Writable().data(); }
// Overruns and near misses.
std::byte* GuardBelow(Arena& arena) { return arena.control() - 8; }
std::byte* GuardAbove(Arena& arena) { return arena.control() + arena.size(); }
std::byte* GuardFarBelow(Arena& arena) {
  return arena.control() - (uint64_t{1} << (arena.mode() == Isolation::kHidden ? 30 : 20));
}
std::byte* GuardFarAbove(Arena& arena) {
  return arena.control() + arena.size() + (uint64_t{1} << (arena.mode() == Isolation::kHidden ? 30 : 20)) - 64;
}

constexpr Target kTargets[] = {
    {"superblock", Superblock, Superblock},
    {"central_state", CentralState, CentralState},
    {"central_lock", CentralLock, CentralLock},
    {"slot_identity", OwnSlot, OwnSlot},
    {"slot_state", SlotState, SlotState},
    {"slot_lock", SlotLock, SlotLock},
    {"undo_log_count", LogCount, LogCount},
    {"undo_log", UndoLog, UndoLog},
    {"index", Index, Index},
    {"bucket_lock", BucketLock, BucketLock},
    {"object_table", ObjectTable, ObjectTable},
    {"block_table", BlockTable, BlockTable},
    {"event_ring", EventRing, EventRing},
    {"free_heap", FreeHeap, FreeHeap},
    {"last_page", LastPage, LastPage},
    {"unsealed_of_another", Unsealed, Unsealed},
    {"sealed_object", Sealed, Sealed},
    {"sealed_object_view", SealedView, Sealed},
    {"undo_log_view", LogView, UndoLog},
    {"superblock_view", SuperblockView, Superblock},
    {"client_page", ClientPage, ClientPageGuarded},
    {"doorbells", Doorbells, DoorbellsGuarded},
    {"unsealed_in_this_process", UnsealedHere, Unsealed},
    {"guard_below", GuardBelow, Superblock},
    {"guard_above", GuardAbove, FreeHeap},
    {"guard_far_below", GuardFarBelow, Superblock},
    {"guard_far_above", GuardFarAbove, FreeHeap},
};

}  // namespace

std::span<const Target> Targets() { return kTargets; }

}  // namespace lightning::routes
