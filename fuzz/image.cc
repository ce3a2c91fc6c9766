// image: a segment of arbitrary bytes behind a superblock that may be sound: words of one that clients left are
// changed, runs of any bytes are laid over it or over nothing, or the input is the segment itself. Everything that
// reads (check, list, get, stats, the dump of all objects) must come to an end, inside the bytes, without a crash or an
// assertion. Attaching and recovering may in addition end in the store's own panic, which is how it refuses state that
// cannot be. On a segment that the check found well nothing may panic, puts and deletes work, and it must still be well
// afterwards.
#include <algorithm>
#include <array>
#include <cstdio>

#include "fuzz/panic.h"
#include "fuzz/runs.h"
#include "fuzz/specimen.h"
#include "fuzz/support.h"
#include "store/client/core.h"
#include "store/log/words.h"

namespace lightning::fuzz {
namespace {

constexpr RecordForm kForm{.header = 4, .record = 12, .least = 1, .most = 40};
constexpr std::array<std::string_view, 6> kSomeKeys = {"a", "b", "z", "open", "key-1", "batch"};

enum Flags : uint8_t { kRepair = 1, kAllDead = 2, kOverNothing = 4 };

// What stands behind the header, by the flags: changes of words mostly.
enum class Form : uint8_t { kWords, kRuns, kRaw };
Form FormOf(uint8_t flags) {
  if ((flags & 0xF0) != 0xF0) return Form::kWords;
  return (flags & 8) != 0 ? Form::kRaw : Form::kRuns;
}

// One word of one table, by names that stay when sizes change.
uint64_t PlaceOf(const Geometry& g, uint8_t region, uint8_t index, uint8_t word) {
  const uint64_t at = uint64_t{word} * 8;
  switch (region % 13) {
    case 0:
      return at % sizeof(Superblock);
    case 1:
      return g.central + at + index % 2 * 2048ULL;
    case 2:
      return g.SlotOffset(index % g.max_clients) + at % 64;
    case 3:
      return g.SlotOffset(index % g.max_clients) + offsetof(Slot, lock) + at;
    case 4:
      return g.SlotOffset(index % g.max_clients) + offsetof(Slot, held_count) + at;
    case 5:
      return g.buckets + index % (g.home_buckets + g.overflow_buckets) * sizeof(Bucket) + at % sizeof(Bucket);
    case 6:
      return g.object_table + index % g.objects * sizeof(Object) + at % sizeof(Object);
    case 7:
      return g.block_table + index % g.blocks * sizeof(Block) + at % sizeof(Block);
    case 8:
      return g.events + index % g.event_slots * sizeof(EventSlot) + at % sizeof(EventSlot);
    case 9:
      return g.ClientPageOffset(index % g.max_clients) + (word % 2 == 0 ? at % 64 : offsetof(ClientPage, pins));
    case 10:
      return g.heap + uint64_t{index} * 64 + at % 64;
    case 11:
      return g.SlotOffset(index % g.max_clients) + offsetof(Slot, log_count) + at;
    default:
      return (uint64_t{index} << 8 | word) * 64;
  }
}

uint64_t Changed(uint64_t before, uint8_t kind, uint64_t value) {
  switch (kind % 8) {
    case 0:
      return value;
    case 1:
      return before + static_cast<uint64_t>(static_cast<int64_t>(static_cast<int8_t>(value)));
    case 2:
      return before ^ uint64_t { 1 } << value % 64;
    case 3:
      return value % 48;
    case 4:
      return Pack(static_cast<uint32_t>(value >> 8 & 0xFF), static_cast<uint32_t>(value & 0xFF));
    case 5:
      return 0;
    case 6:
      return ~uint64_t{0} - value % 256;
    default:
      return (before & ~uint64_t{0xFFFF'FFFF}) | (value & 0xFFFF'FFFF);
  }
}

void Damage(Specimen& specimen, ByteStream& in) {
  while (in.left() >= kForm.record) {
    const uint8_t region = in.Byte(), index = in.Byte(), word = in.Byte(), kind = in.Byte();
    const auto value = in.Number<uint64_t>();
    const uint64_t at = PlaceOf(specimen.geometry(), region, index, word) / 8 * 8;
    if (at + 8 > specimen.size()) continue;
    uint64_t before;
    memcpy(&before, specimen.data() + at, 8);
    const uint64_t after = Changed(before, kind, value);
    memcpy(specimen.data() + at, &after, 8);
  }
}

// The segment that the input stands for.
void Make(Specimen& specimen, ByteStream& in, uint8_t script, uint8_t death, uint8_t flags) {
  const Form form = FormOf(flags);
  if (form == Form::kRaw || (form == Form::kRuns && (flags & kOverNothing) != 0)) {
    specimen.LoadNothing();
  } else {
    specimen.Load(script, death);
  }
  if (form == Form::kWords) return Damage(specimen, in);
  if (form == Form::kRuns) {
    return LayRuns(specimen.data(), specimen.size(), in, [&](uint8_t region, uint8_t index, uint8_t word) {
      return PlaceOf(specimen.fresh(), region, index, word);
    });
  }
  const std::string_view raw = in.Rest();
  memcpy(specimen.data(), raw.data(), std::min<size_t>(raw.size(), specimen.size()));
}

// Reads all bytes, which the address sanitizer looks at as a whole.
uint64_t Touch(Bytes bytes) {
  static std::array<std::byte, Specimen::kSize> copy;
  Require(bytes.size() <= copy.size(), "an object is larger than the segment");
  if (bytes.empty()) return 0;
  memcpy(copy.data(), bytes.data(), bytes.size());
  asm volatile("" : : "r"(copy.data()) : "memory");  // whatever the optimiser thinks of it
  return static_cast<uint64_t>(copy[bytes.size() - 1]);
}

// All that a reader can ask. Where `sane`, each answer must make sense.
void Read(Client& client, bool sane) {
  const Result<std::vector<ObjectInfo>> list = client.List();
  Require(!sane || list.ok(), "a sound segment gives no list");
  uint64_t sum = 0;
  if (list.ok()) {
    for (const ObjectInfo& object : *list) {
      const Result<Handle> handle = client.Get(object.key);
      if (sane && !handle.ok()) Fail("a sound segment lists a key that cannot be read: " + handle.status().ToString());
      if (handle.ok()) sum += Touch(handle->bytes()) + Touch(handle->metadata());
    }
  }
  for (const Result<Handle>& handle : client.GetBatch(kSomeKeys)) {
    if (handle.ok()) sum += Touch(handle->bytes()) + Touch(handle->metadata());
  }
  for (const std::string_view key : kSomeKeys) static_cast<void>(client.Contains(key));
  asm volatile("" : : "r"(sum));
}

// What lightning-store dump asks for, in its order.
void Dump(Client& client, bool sane) {
  // Statistics give back what this client's slot had retired.
  const Result<Stats> stats = client.GetStats();
  Require(!sane || stats.ok(), "a sound segment gives no statistics");
  if (!stats.ok()) return;
  const Result<std::vector<ObjectInfo>> list = client.List();
  Require(!sane || list.ok(), "a sound segment gives no list");
  if (!list.ok()) return;
  uint64_t sum = 0;
  for (const ObjectInfo& object : *list) {
    const Result<Handle> handle = client.Get(object.key);
    if (sane && !handle.ok()) Fail("a sound segment lists a key that cannot be dumped: " + handle.status().ToString());
    if (!handle.ok() && handle.code() != Code::kNotFound) return;  // where the command ends too
    if (handle.ok()) sum += handle->version() + Touch(handle->metadata()) + Touch(handle->bytes());
  }
  asm volatile("" : : "r"(sum));
}

// Any code that the list names. Never a time-out: nobody else is inside an operation.
bool Worked(const Status& status, std::initializer_list<Code> refusals, const char* what) {
  if (status.ok()) return true;
  for (const Code refusal : refusals) {
    if (status.code() == refusal) return false;
  }
  Fail(std::string(what) + " on a sound segment: " + status.ToString());
}

bool Has(Client& client, std::string_view key) {
  const Result<bool> found = client.Contains(key);
  Require(found.ok(), "a sound segment does not say whether a key is there");
  return *found;
}

bool Put(Client& client, std::string_view key, const std::string& value) {
  const Status status = client.Put(key, value).status();
  if (!Worked(status, {Code::kSegmentFull, Code::kTooManyObjects, Code::kBeingCreated}, "a put")) return false;
  const Result<Handle> handle = client.Get(key);
  if (!handle.ok()) Fail("what was put cannot be read: " + handle.status().ToString());
  Require(handle->view() == value && handle->metadata().empty(), "what was put is not what is there");
  return true;
}

void Create(Client& client, std::string_view key, bool seal) {
  const bool there = Has(client, key);
  Result<Writer> writer = client.Create(key, 100);
  const auto refusals = {Code::kSegmentFull, Code::kTooManyObjects, Code::kAlreadyExists, Code::kBeingCreated};
  const bool created = Worked(writer.status(), refusals, "a create");
  Require(there || writer.code() != Code::kAlreadyExists, "a create found what is not there");
  if (!created) return;
  Require(!there && !Has(client, key), "what is not sealed is there");
  if (seal) static_cast<void>(Worked(writer->Seal().status(), {}, "a seal"));
  Require(Has(client, key) == seal, "a key is there, or is not, against its seal");
}

void Write(Client& client, uint8_t choice) {
  if ((choice & 1) != 0) Put(client, "new", std::string(choice * 7, 'n'));
  if ((choice & 2) != 0) {
    const bool there = Has(client, "a");
    const bool deleted = Worked(client.Delete("a"), {Code::kNotFound, Code::kBeingCreated}, "a delete");
    Require(deleted == there && !Has(client, "a"), "a delete does not do what it says");
  }
  if ((choice & 4) != 0) Put(client, "b", "other");
  if ((choice & 8) != 0) Create(client, "made", (choice & 16) != 0);
  if ((choice & 32) != 0) static_cast<void>(Worked(client.Evict(uint64_t{choice} * 16).status(), {}, "an eviction"));
  if ((choice & 64) != 0) {
    Result<Subscription> events = client.Subscribe();
    if (!Worked(events.status(), {}, "a subscription") || !Put(client, "seen", "")) return;
    // Where the put had to evict many, their events may have taken the place of its own.
    static_cast<void>(Worked(events->Next({}).status(), {Code::kFellBehind}, "an event"));
  }
}

// Whether some slot waits for a recovery that needs nobody's death: a reader that meets its lock goes on with it.
bool HalfRecovered(const Segment& segment) {
  for (SlotIndex slot = 0; slot < segment.geometry().max_clients; ++slot) {
    if (SlotState::Decode(segment.slot(slot).state.Load()).life > SlotLife::kActive) return true;
  }
  return false;
}

// Whether each slot has a client, so that there is none for another.
bool IsFull(const Segment& segment) {
  for (SlotIndex slot = 0; slot < segment.geometry().max_clients; ++slot) {
    if (SlotState::Decode(segment.slot(slot).state.Load()).life != SlotLife::kActive) return false;
  }
  return true;
}

// Attaching, reading, recovering, and on a sound segment writing. Nobody counts as dead at first: a reader that meets a
// lock of the dead recovers, and that is no reading.
void Use(Specimen& specimen, uint8_t choice, bool sane, const char** doing) {
  const std::vector<bool> dead = specimen.world().dead;
  specimen.world().dead.assign(dead.size(), false);
  *doing = "attach";
  Result<Client> client = specimen.Attach();
  const bool full = client.code() == Code::kTooManyClients && IsFull(specimen.segment());
  Require(!sane || client.ok() || full, "nobody can attach to a sound segment");
  if (!client.ok()) return;
  *doing = HalfRecovered(specimen.segment()) ? "recover" : "read";
  Read(*client, sane);
  static_cast<void>(client->Check());
  *doing = "recover";
  const SlotIndex self = ClientCore::Of(*client)->environment().self;
  specimen.world().dead = dead;
  specimen.world().dead[self] = false;
  Dump(*client, sane);
  const Result<RecoveryReport> report = client->Recover();
  Require(!sane || report.ok(), "a sound segment cannot be recovered");
  Read(*client, sane);
  if (sane) {
    *doing = "write";
    Write(*client, choice);
    Read(*client, sane);
  }
  *doing = "leave";
  client->Close();
  Require(client->Check().violations.size() == 1 && client->GetBatch(kSomeKeys)[0].code() == Code::kClosed,
          "a closed client gives answers");
}

// Whether the records that nobody ever used are as a new segment has them. The check looks at none of them: there may
// be very many, in memory that nobody has touched yet. REQUIRES: a segment that it finds well.
bool NeverUsedIsBlank(const Specimen& specimen) {
  const Segment segment = specimen.segment();
  const Geometry& g = segment.geometry();
  const Central& central = segment.central();
  const auto blank = [&](uint64_t table, size_t size, uint64_t used, uint64_t all) {
    const std::byte* const begin = specimen.data() + table;
    return std::all_of(begin + used * size, begin + all * size, [](std::byte byte) { return byte == std::byte{}; });
  };
  const uint64_t overflow = g.buckets + uint64_t{g.home_buckets} * sizeof(Bucket);
  return blank(g.object_table, sizeof(Object), central.object_unused.Load(), g.objects) &&
         blank(g.block_table, sizeof(Block), central.block_unused.Load(), g.blocks) &&
         blank(overflow, sizeof(Bucket), central.overflow_unused.Load(), g.overflow_buckets);
}

// What the check says, kept where it outlives the check's own memory.
struct Finding {
  bool ok = false, busy = false;
  char first[200] = "no reason";
};

Finding Look(Specimen& specimen) {
  Finding finding;
  const std::string panic = UntilPanic([&] {
    const CheckReport report = specimen.Check();
    finding.ok = report.ok;
    finding.busy = report.busy;
    if (!report.violations.empty()) snprintf(finding.first, sizeof finding.first, "%s", report.violations[0].c_str());
  });
  if (!panic.empty()) Fail("the check panicked: " + panic);
  return finding;
}

uint8_t FlagsOf(const uint8_t* data, size_t size) { return size > 2 ? data[2] : 0; }

// Changed words are small and quick, and stay so; what reaches all of the segment is as long as it needs to be.
[[maybe_unused]] size_t Mutate(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  Random random(seed);
  if (max_size <= kForm.header) return size;
  if (FormOf(FlagsOf(data, size)) == Form::kWords && size >= kForm.header && random.Percent(4)) {
    // The same specimen under a run.
    data[2] = static_cast<uint8_t>(0xF0 | (data[2] & 3));
    size = kForm.header;
  }
  if (FormOf(FlagsOf(data, size)) == Form::kWords)
    return MutateRecords(kForm, data, size, std::min(max_size, kForm.header + kForm.most * kForm.record), seed);
  if (FormOf(FlagsOf(data, size)) == Form::kRaw) return std::max<size_t>(MutateBytes(data, size, max_size), 1);
  Runs runs(kForm.header, data, size);
  for (uint64_t i = random.Between(1, 4); i-- > 0;) runs.Change(random, Specimen::kSize);
  return runs.Write(data, max_size);
}

[[maybe_unused]] size_t Cross(const uint8_t* one, size_t one_size, const uint8_t* other, size_t other_size,
                              uint8_t* out, size_t max_size, unsigned seed) {
  if (FormOf(FlagsOf(one, one_size)) != Form::kRuns || FormOf(FlagsOf(other, other_size)) != Form::kRuns)
    return CrossRecords(kForm, one, one_size, other, other_size, out, max_size, seed);
  Random random(seed);
  Runs runs(kForm.header, one, one_size);
  const Runs others(kForm.header, other, other_size);
  runs.Append(others, random.Below(runs.count() + 1), random.Below(others.count() + 1));
  return runs.Write(out, max_size);
}

}  // namespace
}  // namespace lightning::fuzz

LIGHTNING_FUZZ(image) {
  using namespace lightning::fuzz;
  static Specimen specimen;
  ByteStream in(data, size);
  const uint8_t script = in.Byte(), death = in.Byte(), flags = in.Byte(), choice = in.Byte();
  Make(specimen, in, script, death, flags);
  if ((flags & kRepair) != 0) specimen.RepairChecksum();
  if (!specimen.ReadSuperblock().ok()) return 0;
  if ((flags & kAllDead) != 0) specimen.world().dead.assign(specimen.world().dead.size(), true);
  // What is busy or dead needs recovery before anybody can judge it.
  const bool sane = Look(specimen).ok && NeverUsedIsBlank(specimen);
  const char* doing = "";
  const std::string panic = UntilPanic([&] { Use(specimen, choice, sane, &doing); });
  if (!panic.empty() && sane) Fail(std::string("a segment that Check finds well panicked at ") + doing + ": " + panic);
  if (!panic.empty() && std::string_view(doing) == "read") Fail("a reader panicked: " + panic);
  if (!sane || !panic.empty()) return 0;
  const Finding after = Look(specimen);
  if (after.busy) Fail("a sound segment's use left somebody inside an operation");
  if (!after.ok) Fail(std::string("a sound segment was damaged by its use: ") + after.first);
  return 0;
}
LIGHTNING_FUZZ_MUTATORS(lightning::fuzz::Mutate, lightning::fuzz::Cross)
