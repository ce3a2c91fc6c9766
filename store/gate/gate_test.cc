#include "store/gate/gate.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "store/segment/segment_file.h"
#include "store/testing/mappings.h"
#include "store/testing/testing.h"

namespace lightning {
namespace {

using test::Mapping;
using test::MappingsOf;
using test::RunInChild;
using test::SmallOptions;
using test::StoreLands;

// A segment in a file, and a gate to it.
class Gated {
 public:
  Gated(Isolation isolation, uint64_t size) : fd_(memfd_create("gate-test", MFD_CLOEXEC)) {
    Options options = SmallOptions();
    options.size = size;
    options.isolation = isolation;
    geometry_ = *Geometry::Compute(options);
    LIGHTNING_ASSERT(ftruncate(fd_.get(), static_cast<off_t>(size)) == 0);
    Result<std::unique_ptr<Gate>> gate = Gate::Map(fd_.get(), geometry_, options);
    LIGHTNING_ASSERT(gate.ok());
    gate_ = std::move(*gate);
  }

  Gate& operator*() { return *gate_; }
  Gate* operator->() { return gate_.get(); }
  int fd() const { return fd_.get(); }
  const Geometry& geometry() const { return geometry_; }
  Segment segment() const { return Segment(gate_->view(), geometry_); }
  const OwnWord& Word(SlotIndex slot) const { return segment().slot(slot).pid; }

  // The mapping that is not the view; in mode none the one that there is.
  Mapping Control() const {
    Mapping control;
    const auto view = reinterpret_cast<uint64_t>(gate_->view());
    for (const Mapping& mapping : MappingsOf(fd())) {
      if (mapping.begin != view || gate_->mode() == Isolation::kNone) control = mapping;
    }
    return control;
  }
  // Pages of the file through which a plain store from here would land.
  uint64_t OpenPages() const {
    uint64_t pages = 0;
    for (const Mapping& mapping : MappingsOf(fd())) {
      for (uint64_t at = 0; at < mapping.size(); at += kPageSize)
        pages += StoreLands(mapping.begin + at, gate_->view()[mapping.offset + at]);
    }
    return pages;
  }

 private:
  ScopedFd fd_;
  Geometry geometry_;
  std::unique_ptr<Gate> gate_;
};

class GateTest : public testing::TestWithParam<Isolation> {
 protected:
  void SetUp() override {
    if (GetParam() == Isolation::kKeys && !MachineHasKeys())
      GTEST_SKIP() << "this machine has no memory protection keys";
  }
  bool strict() const { return GetParam() == Isolation::kKeys || GetParam() == Isolation::kMprotect; }
};

std::string ModeName(const testing::TestParamInfo<Isolation>& info) { return IsolationName(info.param); }
INSTANTIATE_TEST_SUITE_P(Modes, GateTest,
                         testing::Values(Isolation::kKeys, Isolation::kMprotect, Isolation::kHidden, Isolation::kNone),
                         ModeName);

TEST_P(GateTest, StoresThroughAWindowAreSeenThroughTheView) {
  Gated gate(GetParam(), 1 << 20);
  EXPECT_EQ(gate->mode(), GetParam());
  {
    Window window(*gate);
    window.Store(gate.Word(1), 4711);
    memcpy(window.Payload(gate.geometry().heap, 5), "hello", 5);
  }
  EXPECT_EQ(gate.Word(1).Load(), 4711u);
  EXPECT_EQ(memcmp(gate->view() + gate.geometry().heap, "hello", 5), 0);
}

// Keys and mprotect: no page of the segment takes a store while no window is open. Hidden: the view takes none, and the
// writable mapping is where nothing points. None: said so by name.
TEST_P(GateTest, StoresOutsideAWindowFault) {
  Gated gate(GetParam(), 1 << 20);
  const uint64_t all = gate.geometry().size / kPageSize;
  EXPECT_EQ(gate.OpenPages(), strict() ? 0u : all);
  {
    Window window(*gate);
    window.Store(gate.Word(0), 1);
    EXPECT_TRUE(StoreLands(gate.Control().begin, gate->view()[0]) || GetParam() == Isolation::kMprotect);
  }
  EXPECT_EQ(gate.OpenPages(), strict() ? 0u : all) << "and so it is after a window";
  if (GetParam() != Isolation::kNone) {
    EXPECT_FALSE(StoreLands(reinterpret_cast<uint64_t>(gate->view()), gate->view()[0])) << "the view is read-only";
  }
}

TEST_P(GateTest, ASuspendedWindowIsShut) {
  Gated gate(GetParam(), 1 << 20);
  Window window(*gate);
  window.Store(gate.Word(0), 1);
  window.Suspend();
  EXPECT_EQ(gate.OpenPages() == 0, strict());
  window.Resume();
  window.Store(gate.Word(0), 2);
  EXPECT_EQ(gate.Word(0).Load(), 2u);
}

// A wild pointer that runs off another mapping does not run into this one.
TEST_P(GateTest, GuardRegionsStandOnBothSides) {
  Gated gate(GetParam(), 1 << 20);
  const Mapping control = gate.Control();
  const uint64_t expected = GetParam() == Isolation::kHidden ? uint64_t{1} << 30 : uint64_t{1} << 20;
  EXPECT_FALSE(StoreLands(control.begin - 1, std::byte{0}));
  EXPECT_FALSE(StoreLands(control.end, std::byte{0}));
  for (const Mapping& mapping : test::AllMappings()) {
    const bool accessible = mapping.readable || mapping.writable;
    const bool itself = mapping.begin >= control.begin && mapping.end <= control.end;
    if (!accessible || itself) continue;
    EXPECT_TRUE(mapping.end + expected <= control.begin || mapping.begin >= control.end + expected)
        << std::hex << mapping.begin << " is too near to " << control.begin;
  }
}

TEST_P(GateTest, GuardRegionsStandAroundExposedPages) {
  Gated gate(GetParam(), 1 << 20);
  if (GetParam() == Isolation::kNone) GTEST_SKIP() << "mode none exposes nothing: its one mapping is always writable";
  const Result<std::span<std::byte>> exposed = gate->Expose(gate.geometry().heap, 3 * kPageSize);
  ASSERT_TRUE(exposed.ok());
  const auto begin = reinterpret_cast<uint64_t>(exposed->data()), end = begin + exposed->size();
  for (const Mapping& mapping : test::AllMappings()) {
    if (!(mapping.readable || mapping.writable) || mapping.begin == begin) continue;
    EXPECT_TRUE(mapping.end + Gate::kExposedGuard <= begin || mapping.begin >= end + Gate::kExposedGuard)
        << std::hex << mapping.begin << " is too near to " << begin;
  }
  EXPECT_FALSE(StoreLands(begin - 1, std::byte{0}));
  EXPECT_FALSE(StoreLands(end, std::byte{0}));
  gate->Unexpose(*exposed);
}

TEST_P(GateTest, AForkedChildHasNoWritableMapping) {
  Gated gate(GetParam(), 1 << 20);
  const int writable = RunInChild([&] { return test::WritableBytes(gate.fd()) != 0; });
  EXPECT_EQ(writable, GetParam() == Isolation::kNone);
  const int readable = RunInChild([&] { return !MappingsOf(gate.fd()).empty(); });
  EXPECT_EQ(readable, 1) << "it can still read what it holds handles of";
}

TEST_P(GateTest, AChildForkedInsideAWindowHasNoneEither) {
  Gated gate(GetParam(), 1 << 20);
  Window window(*gate);
  window.Store(gate.Word(0), 1);
  window.Store(gate.Word(3), 1);
  const int writable = RunInChild([&] { return test::WritableBytes(gate.fd()) != 0; });
  EXPECT_EQ(writable, GetParam() == Isolation::kNone);
}

TEST_P(GateTest, AnExposedPageIsWritableUntilItIsTakenBack) {
  Gated gate(GetParam(), 1 << 20);
  const uint64_t at = gate.geometry().heap + kPageSize;
  Result<std::span<std::byte>> exposed = gate->Expose(at, 2 * kPageSize);
  ASSERT_TRUE(exposed.ok()) << exposed.status().ToString();
  ASSERT_EQ(exposed->size(), 2 * kPageSize);
  memset(exposed->data(), 0x5A, exposed->size());
  EXPECT_EQ(gate->view()[at], std::byte{0x5A});
  EXPECT_EQ(gate->view()[at + 2 * kPageSize - 1], std::byte{0x5A});
  EXPECT_EQ(gate->view()[at - 1], std::byte{0});
  const auto address = reinterpret_cast<uint64_t>(exposed->data());
  if (GetParam() != Isolation::kNone) {
    EXPECT_EQ(RunInChild([&] { return StoreLands(address, std::byte{0x5A}); }), 0) << "a child does not get it";
    gate->Unexpose(*exposed);
    EXPECT_FALSE(StoreLands(address, std::byte{0x5A})) << "nothing is left of it";
  }
  EXPECT_EQ(gate.OpenPages() == 0, strict());
}

TEST_P(GateTest, TheDescriptorIsNotNeededAfterwards) {
  const int fd = memfd_create("gate-test", MFD_CLOEXEC);
  ASSERT_EQ(ftruncate(fd, 1 << 20), 0);
  Options options = SmallOptions();
  options.isolation = GetParam();
  const Result<Geometry> geometry = Geometry::Compute(options);
  Result<std::unique_ptr<Gate>> gate = Gate::Map(fd, *geometry, options);
  ASSERT_TRUE(gate.ok());
  close(fd);
  const Segment segment((*gate)->view(), *geometry);
  Window window(**gate);
  window.Store(segment.slot(0).pid, 9);
  EXPECT_EQ(segment.slot(0).pid.Load(), 9u);
  const Result<std::span<std::byte>> exposed = (*gate)->Expose(geometry->heap, kPageSize);
  ASSERT_TRUE(exposed.ok());
  (*gate)->Unexpose(*exposed);
}

TEST_P(GateTest, CallersBytesInTheControlMappingAreNoticed) {
  Gated gate(GetParam(), 1 << 20);
  const Mapping control = gate.Control();
  const bool guarded = GetParam() != Isolation::kNone;
  const auto at = [](uint64_t address) { return reinterpret_cast<const void*>(address); };
  EXPECT_EQ(gate->Overlaps(at(control.begin), 1), guarded);
  EXPECT_EQ(gate->Overlaps(at(control.end - 1), 1), guarded);
  EXPECT_EQ(gate->Overlaps(at(control.begin - 8), 9), guarded);
  EXPECT_FALSE(gate->Overlaps(at(control.begin - 8), 8));
  EXPECT_FALSE(gate->Overlaps(at(control.end), 100));
  EXPECT_FALSE(gate->Overlaps(gate->view(), 1) && guarded) << "the view may be read from";
}

TEST_P(GateTest, NothingStaysMappedAfterwards) {
  const int fd = memfd_create("gate-test", MFD_CLOEXEC);
  ASSERT_EQ(ftruncate(fd, 1 << 20), 0);
  Options options = SmallOptions();
  options.isolation = GetParam();
  options.prefault = true;
  Result<std::unique_ptr<Gate>> gate = Gate::Map(fd, *Geometry::Compute(options), options);
  ASSERT_TRUE(gate.ok());
  EXPECT_FALSE(MappingsOf(fd).empty());
  gate->reset();
  EXPECT_TRUE(MappingsOf(fd).empty());
  close(fd);
}

// --- mprotect

// The cost of a window is the pages it opens: those it touches, whatever the size of the segment.
TEST(GateMprotectTest, AWindowOpensThePagesItTouchesAndNoOthers) {
  for (const uint64_t size : {uint64_t{1} << 20, uint64_t{1} << 30}) {
    Gated gate(Isolation::kMprotect, size);
    Window window(*gate);
    EXPECT_EQ(test::WritableBytes(gate.fd()), 0u) << "none yet, " << size;
    window.Store(gate.Word(0), 1);
    EXPECT_EQ(test::WritableBytes(gate.fd()), kPageSize) << size;
    window.Store(gate.segment().slot(0).attach_time, 1);
    EXPECT_EQ(test::WritableBytes(gate.fd()), kPageSize) << "the same page again, " << size;
    window.Store(gate.Word(2), 1);
    window.Payload(gate.geometry().heap + kPageSize - 1, 2)[1] = std::byte{1};
    EXPECT_EQ(test::WritableBytes(gate.fd()), 4 * kPageSize) << size;
    window.Suspend();
    EXPECT_EQ(test::WritableBytes(gate.fd()), 0u) << size;
    window.Resume();
  }
}

// --- hidden

TEST(GateHiddenTest, NoPointerToTheWritableMappingIsKept) {
  Gated gate(Isolation::kHidden, 1 << 20);
  {
    Window window(*gate);
    window.Store(gate.Word(0), 1);
  }
  const uint64_t control = gate.Control().begin;
  std::string object(reinterpret_cast<const char*>(&*gate), sizeof(Gate));
  for (size_t at = 0; at + sizeof(uint64_t) <= object.size(); ++at) {
    uint64_t word;
    memcpy(&word, object.data() + at, sizeof word);
    EXPECT_FALSE(word >= control && word < control + (1 << 20)) << "at byte " << at << " of the gate";
  }
}

TEST(GateHiddenTest, TheWritableMappingStandsAtARandomPlace) {
  const Gated first(Isolation::kHidden, 1 << 20), second(Isolation::kHidden, 1 << 20);
  EXPECT_NE(first.Control().begin, second.Control().begin);
  const uint64_t a = first.Control().begin, b = second.Control().begin;
  EXPECT_GT(std::max(a, b) - std::min(a, b), uint64_t{2} << 30) << "not beside one another as the system places them";
}

// --- keys

class GateKeysTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!MachineHasKeys()) GTEST_SKIP() << "this machine has no memory protection keys";
  }
};

// A thread inherits the rights of its maker, so this one is made outside of windows, as the store's users do.
TEST_F(GateKeysTest, AnotherThreadsWindowOpensNothingHere) {
  Gated gate(Isolation::kKeys, 1 << 20);
  std::atomic<int> step{0};
  uint64_t seen = 1;
  std::thread other([&] {
    while (step != 1) std::this_thread::yield();
    seen = gate.OpenPages();
    step = 2;
  });
  {
    Window window(*gate);
    step = 1;
    while (step != 2) std::this_thread::yield();
  }
  other.join();
  EXPECT_EQ(seen, 0u);
}

TEST_F(GateKeysTest, ReenteringAWindowEndsTheProcess) {
  Gated gate(Isolation::kKeys, 1 << 20);
  EXPECT_DEATH(
      {
        Window outer(*gate);
        Window inner(*gate);
      },
      "signal handler");
}

// --- the probe

TEST(GateProbeTest, TheDefaultIsWhatTheProcessorHas) {
  std::ifstream cpuinfo("/proc/cpuinfo");
  const std::string text((std::istreambuf_iterator<char>(cpuinfo)), std::istreambuf_iterator<char>());
  const bool enabled = text.find(" ospke") != std::string::npos;  // processor and kernel both
  EXPECT_EQ(DefaultIsolation(), enabled ? Isolation::kKeys : Isolation::kMprotect);
  EXPECT_EQ(MachineHasKeys(), enabled);
}

TEST(GateProbeTest, KeysWhereThereAreNoneAreRefusedByName) {
  if (MachineHasKeys()) GTEST_SKIP() << "this machine has them: nothing to refuse";
  const int fd = memfd_create("gate-test", MFD_CLOEXEC);
  ASSERT_EQ(ftruncate(fd, 1 << 20), 0);
  Options options = SmallOptions();
  options.isolation = Isolation::kKeys;
  EXPECT_EQ(Gate::Map(fd, *Geometry::Compute(options), options).status().code(), Code::kUnsupported);
  EXPECT_TRUE(MappingsOf(fd).empty());
  close(fd);
}

TEST(GateProbeTest, AutoIsTheDefault) {
  Gated gate(Isolation::kAuto, 1 << 20);
  EXPECT_EQ(gate->mode(), DefaultIsolation());
}

}  // namespace
}  // namespace lightning
