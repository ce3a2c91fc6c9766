// log: an undo log of arbitrary entries, a list of held locks and a slot's words, in a segment that is sound otherwise.
// Rolling it back either refuses, and leaves every byte as it was, or does exactly what a log may: the old values go to
// the cells that it names, the locks that name the dead client are free, its own words say so, and no other byte
// changes. What the byte-exact prediction needs of recovery is rules 2 to 6 of store/README.md, written down once more.
#include <array>

#include "fuzz/panic.h"
#include "fuzz/specimen.h"
#include "fuzz/support.h"
#include "store/client/core.h"
#include "store/log/recovery.h"

namespace lightning::fuzz {
namespace {

constexpr RecordForm kForm{.header = 4, .record = 12, .least = 1, .most = 60};

uint64_t ReadWord(const std::byte* at) {
  uint64_t word;
  memcpy(&word, at, 8);
  return word;
}
void WriteWord(std::byte* at, uint64_t word) { memcpy(at, &word, 8); }

// An offset for a log entry or a held lock: mostly one that it may name.
uint64_t SomeOffset(const Geometry& g, uint8_t kind, uint32_t index) {
  const uint64_t cells = g.events - g.central;
  switch (kind % 8) {
    case 0:
      return index;  // the superblock, or not aligned
    case 1:
      return g.events + uint64_t{index} * 8;  // behind the cells
    case 2:
      return ~uint64_t{0} - index;
    case 3:
      return g.SlotOffset(index % g.max_clients) + offsetof(Slot, lock) + index / 4 % 64 * 8;
    case 4:
      return g.buckets + index % (g.home_buckets + g.overflow_buckets) * sizeof(Bucket);
    case 5:
      return g.central + index % sizeof(Central) / 8 * 8;
    default:
      return g.central + uint64_t{index} * 8 % cells;
  }
}

class Victim {
 public:
  Victim(Specimen& specimen, SlotIndex index)
      : g_(specimen.geometry()), base_(specimen.data()), index_(index), slot_(base_ + g_.SlotOffset(index)) {}

  void Change(ByteStream& in) {
    const uint8_t what = in.Byte(), kind = in.Byte();
    const auto place = in.Number<uint16_t>();
    const auto value = in.Number<uint64_t>();
    const uint64_t offset = SomeOffset(g_, kind, static_cast<uint32_t>(value >> 40));
    switch (what % 8) {
      case 0:
      case 1:
      case 2: {
        // Behind the entries that there are.
        const uint64_t count = ReadWord(slot_ + offsetof(Slot, log_count));
        if (count >= kLogCapacity) return;
        std::byte* const entry = slot_ + offsetof(Slot, log) + count * sizeof(LogEntry);
        WriteWord(entry, offset);
        WriteWord(entry + 8, value & 0xFF'FFFF'FFFF);
        return WriteWord(slot_ + offsetof(Slot, log_count), count + 1);
      }
      case 3:
        return WriteWord(slot_ + offsetof(Slot, log_count), (kind & 1) != 0 ? value : value % (kLogCapacity + 8));
      case 4: {
        const uint64_t count = ReadWord(slot_ + offsetof(Slot, held_count));
        if (count >= kMaxHeldLocks) return;
        WriteWord(slot_ + offsetof(Slot, held) + count * 8, offset);
        if (offset % 8 == 0 && offset < g_.size && (place & 1) != 0) TakeLock(offset);
        return WriteWord(slot_ + offsetof(Slot, held_count), count + 1);
      }
      case 5:
        return WriteWord(slot_ + offsetof(Slot, held_count), value);
      case 6:
        return WriteWord(slot_ + offsetof(Slot, state), (kind & 1) != 0 ? value >> 8 : value % 5 | 1U << 8);
      default:
        return WriteWord(slot_ + offsetof(Slot, pid) + place % 6 * 8, value);
    }
  }

  // What a rollback by `self` must leave, byte for byte, in `image`, a copy of what is there. False: it must refuse.
  bool Predict(std::vector<std::byte>* image) const {
    std::byte* const to = image->data() + (slot_ - base_);
    const Segment segment(base_, g_);
    const uint64_t count = ReadWord(slot_ + offsetof(Slot, log_count));
    if (count > kLogCapacity) return false;
    for (uint64_t i = 0; i < count; ++i) {
      if (!segment.IsCell(Entry(i))) return false;
    }
    for (uint64_t i = count; i-- > 0;) WriteWord(image->data() + Entry(i), ReadWord(LogPlace(i) + 8));
    WriteWord(to + offsetof(Slot, log_count), 0);
    SlotState state = SlotState::Decode(ReadWord(slot_));
    const uint64_t held = std::min<uint64_t>(ReadWord(slot_ + offsetof(Slot, held_count)), kMaxHeldLocks);
    for (uint64_t i = held; i-- > 0;) {
      const uint64_t offset = ReadWord(slot_ + offsetof(Slot, held) + i * 8);
      if (!segment.IsLock(offset)) continue;
      const uint64_t word = ReadWord(image->data() + offset);
      if (LockValue::IsHeldBy(word, LockValue::Owner(index_, state.generation)))
        WriteWord(image->data() + offset, LockValue::Freed(word));
    }
    WriteWord(to + offsetof(Slot, held_count), 0);
    WriteWord(to + offsetof(Slot, activity), (ReadWord(slot_ + offsetof(Slot, activity)) | 1) + 1);
    WriteWord(to, SlotState{SlotLife::kRolledBack, state.generation, 0, 0}.Encode());
    return true;
  }

  SlotLife life() const { return state().life; }

  // Whether a living client recovers it: then it is that one's alone.
  bool Held(const std::vector<bool>& dead) const {
    const SlotState its = state();
    if (its.life != SlotLife::kRecovering) return false;
    if (its.recoverer == kAttacher) return true;  // in this world there always is one
    if (its.recoverer >= g_.max_clients || dead[its.recoverer]) return false;
    const SlotState recoverer = SlotState::Decode(ReadWord(base_ + g_.SlotOffset(its.recoverer)));
    return recoverer.life == SlotLife::kActive && recoverer.generation == its.recoverer_generation;
  }

 private:
  SlotState state() const { return SlotState::Decode(ReadWord(slot_)); }
  const std::byte* LogPlace(uint64_t i) const { return slot_ + offsetof(Slot, log) + i * sizeof(LogEntry); }
  uint64_t Entry(uint64_t i) const { return ReadWord(LogPlace(i)); }
  void TakeLock(uint64_t offset) {
    if (!Segment(base_, g_).IsLock(offset)) return;
    const uint32_t generation = SlotState::Decode(ReadWord(slot_)).generation;
    WriteWord(base_ + offset, LockValue::Taken(ReadWord(base_ + offset), LockValue::Owner(index_, generation)));
  }

  const Geometry g_;
  std::byte* const base_;
  const SlotIndex index_;
  std::byte* const slot_;
};

void Compare(const Specimen& specimen, const std::vector<std::byte>& expected, const char* what) {
  if (memcmp(specimen.data(), expected.data(), expected.size()) == 0) return;
  uint64_t at = 0;
  while (memcmp(specimen.data() + at, expected.data() + at, 8) == 0) at += 8;
  char text[300];
  snprintf(text, sizeof text, "%s: the word at offset %llu is %#llx and must be %#llx", what,
           static_cast<unsigned long long>(at), static_cast<unsigned long long>(ReadWord(specimen.data() + at)),
           static_cast<unsigned long long>(ReadWord(expected.data() + at)));
  Fail(text);
}

// Two rollbacks in a row: the second one must change nothing (rule 6).
void RollBack(Specimen& specimen, Client& client, const Victim& victim) {
  Environment environment = ClientCore::Of(client)->environment();
  const std::vector<std::byte> before(specimen.data(), specimen.data() + specimen.size());
  std::vector<std::byte> expected = before;
  const bool free = victim.life() == SlotLife::kFree || victim.life() == SlotLife::kRolledBack;
  const bool known = victim.life() <= SlotLife::kRolledBack;
  const bool held = victim.Held(specimen.world().dead);
  const bool sound = victim.Predict(&expected);
  Result<bool> rolled(false);
  {
    Window window(*environment.gate);
    rolled = Recovery(environment, window).RollBack(Specimen::kVictim);
  }
  if (free) {
    Require(rolled.ok() && *rolled, "a slot without a client was not taken for one");
    return Compare(specimen, before, "a slot without a client was rolled back");
  }
  if (!known) return;
  if (held) {
    Require(rolled.ok() && !*rolled, "a slot that a living client recovers was taken from it");
    return Compare(specimen, before, "somebody else's slot was left alone, but");
  }
  if (!sound) {
    Require(rolled.code() == Code::kCorrupt, "a log that is no log was not refused");
    return Compare(specimen, before, "a log that is no log was refused, but");
  }
  Require(rolled.ok(), "a log was refused");
  Require(*rolled, "a dead client was taken for a living one");
  Compare(specimen, expected, "after rolling back");
  Window window(*environment.gate);
  rolled = Recovery(environment, window).RollBack(Specimen::kVictim);
  Require(rolled.ok() && *rolled, "a second rollback failed");
  Compare(specimen, expected, "after rolling back twice");
}

}  // namespace
}  // namespace lightning::fuzz

LIGHTNING_FUZZ(log) {
  using namespace lightning::fuzz;
  using lightning::Client;
  using lightning::ClientCore;
  using lightning::Result;
  static Specimen specimen;
  ByteStream in(data, size);
  const uint8_t script = in.Byte(), death = in.Byte(), clear = in.Byte();
  in.Byte();
  specimen.Load(script, static_cast<uint8_t>(death | 1));
  Victim victim(specimen, Specimen::kVictim);
  // The log of the death itself, or one from the beginning.
  if ((clear & 1) != 0) {
    const uint64_t at = specimen.geometry().SlotOffset(Specimen::kVictim) + offsetof(lightning::Slot, log_count);
    memset(specimen.data() + at, 0, 8);
  }
  while (in.left() >= kForm.record) victim.Change(in);
  const auto roll_back = [&] {
    // It dies at rest: that log may have named its own slot, and to leave with those values may well panic.
    auto* const client = new Result<Client>(specimen.Attach());
    Require(client->ok(), "nobody can attach beside a dead client");
    RollBack(specimen, **client, victim);
    specimen.world().dead[ClientCore::Of(**client)->environment().self] = true;
  };
  const std::string panic = UntilPanic(roll_back, MayKeep::kSome);
  if (!panic.empty()) Fail("rolling back panicked: " + panic);
  // Then the rest of recovery, over whatever values the log put there: it may refuse, and must end.
  UntilPanic([&] {
    Result<Client> client = specimen.Attach();
    if (!client.ok()) return;
    static_cast<void>(client->Recover());
    std::ignore = client->Put("after", "wards");
    static_cast<void>(client->Check());
  });
  return 0;
}
LIGHTNING_FUZZ_RECORDS(lightning::fuzz::kForm)
