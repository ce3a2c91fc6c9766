// Stray accesses outside and inside a window, of several kinds, to everything that a segment holds.
#include <gtest/gtest.h>

#include <csignal>
#include <cstring>

#include "pkeys_tests/isolation_fixture.h"

namespace lightning::pkeys {
namespace {

std::string KindName(const testing::TestParamInfo<Access>& kind) { return Name(kind.param); }

class KeysStrayTest : public KeysTest, public testing::WithParamInterface<Access> {};

TEST_P(KeysStrayTest, OutsideAWindowFaultsByTheKeyAndChangesNothing) {
  ASSERT_TRUE(client_->Put("key", "value").ok());
  const std::string before = Image();
  for (const auto& [name, offset] : Targets()) {
    SCOPED_TRACE(name);
    const Fault fault = Try(GetParam(), control() + offset);
    ASSERT_TRUE(fault.happened);
    EXPECT_EQ(fault.code, SEGV_PKUERR);
    EXPECT_EQ(fault.key, key());
    EXPECT_EQ(fault.address, reinterpret_cast<uint64_t>(control() + offset));
    EXPECT_EQ(RightsOf(key()), 3u);
  }
  EXPECT_TRUE(Image() == before) << "a byte has changed";
  ExpectSound();
}

// What the faults above prove rests on this: the same instruction, at the same mapping, lands where a window is open.
TEST_P(KeysStrayTest, InsideAWindowTheSameStoreLands) {
  const uint64_t offset = geometry().heap + geometry().size / 8;
  const std::string before = Image();
  std::string original(16, '\0');
  Fault fault;
  {
    Window window(gate());
    std::byte* const place = window.Payload(offset, 16);
    memcpy(original.data(), place, 16);
    fault = Try(GetParam(), place);
    // kCompareExchange stores because the heap holds zeroes here, and lock add adds to them.
  }
  EXPECT_FALSE(fault.happened);
  EXPECT_NE(memcmp(judge_ + offset, original.data(), 16), 0) << "it did not land";
  {
    Window window(gate());
    memcpy(window.Payload(offset, 16), original.data(), 16);
  }
  EXPECT_TRUE(Image() == before);
  EXPECT_EQ(RightsOf(key()), 3u);
}

TEST_P(KeysStrayTest, ToTheBytesOfASealedObjectFaultsWhateverWindowIsOpen) {
  ASSERT_TRUE(client_->Put("key", std::string(4096, 'v')).ok());
  const Result<Handle> handle = client_->Get("key");
  ASSERT_TRUE(handle.ok());
  Fault inside;
  {
    Window window(gate());
    inside = Try(GetParam(), handle->data() + 64);
  }
  const Fault outside = Try(GetParam(), handle->data() + 64);
  for (const Fault& fault : {inside, outside}) {
    ASSERT_TRUE(fault.happened);
    EXPECT_EQ(fault.code, SEGV_ACCERR);
  }
  EXPECT_EQ(handle->view(), std::string(4096, 'v'));
}

INSTANTIATE_TEST_SUITE_P(Kinds, KeysStrayTest, testing::ValuesIn(kStores), KindName);

class KeysMappingTest : public KeysTest {};

TEST_F(KeysMappingTest, LoadsFaultToo) {
  for (const auto& [name, offset] : Targets()) {
    const Fault fault = Try(Access::kLoad, control() + offset);
    ASSERT_TRUE(fault.happened) << name;
    EXPECT_EQ(fault.code, SEGV_PKUERR);
    EXPECT_EQ(fault.key, key());
  }
}

TEST_F(KeysMappingTest, AStoreThatStraddlesTheBorderWritesNothing) {
  // The first page of the control mapping is reached from the guard below; between two pages both have the key.
  const std::string before = Image();
  for (const uint64_t offset : {geometry().central - 3, geometry().heap - 5, geometry().buckets - 1}) {
    for (const Access access : {Access::kMov, Access::kXchg, Access::kSse}) {
      const Fault fault = Try(access, control() + offset);
      ASSERT_TRUE(fault.happened);
      EXPECT_EQ(fault.code, SEGV_PKUERR);
    }
  }
  for (const std::byte* edge : {control() - 3, control() + options_.size - 5}) {
    EXPECT_TRUE(Try(Access::kMov, edge).happened);
    EXPECT_TRUE(Try(Access::kSse, edge).happened);
  }
  EXPECT_TRUE(Image() == before);
}

TEST_F(KeysMappingTest, GuardRegionsStandOnBothSides) {
  for (const std::byte* place :
       {control() - 1, control() - 4096, control() + options_.size, control() + options_.size + 4095}) {
    const Fault fault = Try(Access::kByte, place);
    ASSERT_TRUE(fault.happened);
    EXPECT_EQ(fault.code, SEGV_ACCERR);
  }
}

TEST_F(KeysMappingTest, OnlyWhatBelongsToThisClientAloneIsWritableWithoutTheKey) {
  const Geometry& g = geometry();
  for (const Mapping& mapping : Mappings()) {
    if (!mapping.writable || mapping.key == key()) continue;
    const bool page = mapping.offset >= g.client_pages && mapping.offset + mapping.size <= g.doorbells;
    const bool doorbells = mapping.offset == g.doorbells && mapping.size == kPageSize;
    EXPECT_TRUE(page || doorbells) << mapping.size << " bytes at " << mapping.offset;
    EXPECT_LE(mapping.size, g.client_page_stride);
  }
}

TEST_F(KeysMappingTest, AnUnsealedObjectIsWritableByItsCreatorAndASealedOneIsNot) {
  Result<Writer> writer = client_->Create("large", 64 * 1024);
  ASSERT_TRUE(writer.ok()) << writer.status().ToString();
  std::byte* const place = writer->Writable().data();
  EXPECT_FALSE(Try(Access::kMov, place).happened);
  const auto exposed = [&] {
    uint64_t bytes = 0;
    for (const Mapping& mapping : Mappings()) bytes += mapping.begin == place ? mapping.size : 0;
    return bytes;
  };
  EXPECT_EQ(exposed(), 64u * 1024) << "its own pages and no others";
  ASSERT_TRUE(writer->Seal().ok());
  EXPECT_EQ(exposed(), 0u);
  EXPECT_TRUE(Try(Access::kMov, place).happened);
  const Result<Handle> handle = client_->Get("large");
  ASSERT_TRUE(handle.ok());
  EXPECT_EQ(handle->data()[0], std::byte{0x5A});
  const Fault fault = Try(Access::kMov, handle->data());
  EXPECT_TRUE(fault.happened);
  EXPECT_EQ(fault.code, SEGV_ACCERR);
}

// The other modes, on every machine. A store to the view faults in each; in mode mprotect all else does, too.
class ViewTest : public IsolationTest, public testing::WithParamInterface<Access> {
 protected:
  ViewTest() : IsolationTest(Isolation::kMprotect) {}
  FaultCatcher catcher_;
};

TEST_P(ViewTest, InModeMprotectAStrayStoreFaultsInEveryMappingOfTheSegment) {
  ASSERT_TRUE(client_->Put("key", "value").ok());
  const std::string before = Image();
  int whole = 0;
  for (const Mapping& mapping : Mappings()) {
    if (mapping.size != options_.size) {
      EXPECT_GE(mapping.offset, geometry().client_pages);
      continue;
    }
    ++whole;
    EXPECT_FALSE(mapping.writable);
    for (const auto& [name, offset] : Targets()) {
      const Fault fault = Try(GetParam(), mapping.begin + offset);
      ASSERT_TRUE(fault.happened) << name;
      EXPECT_EQ(fault.code, SEGV_ACCERR);
    }
  }
  EXPECT_EQ(whole, 3) << "the view, the control mapping, and the judge's";
  EXPECT_TRUE(Image() == before);
  ExpectSound();
}

INSTANTIATE_TEST_SUITE_P(Kinds, ViewTest, testing::ValuesIn(kStores), KindName);

class HiddenTest : public IsolationTest {
 protected:
  HiddenTest() : IsolationTest(Isolation::kHidden) {}
  FaultCatcher catcher_;
};

TEST_F(HiddenTest, AnOverrunOfTheViewOrOfAHandleLandsNowhere) {
  ASSERT_TRUE(client_->Put("key", std::string(5000, 'v')).ok());
  const Result<Handle> handle = client_->Get("key");
  ASSERT_TRUE(handle.ok());
  const std::string before = Image();
  const std::byte* const view = gate().view();
  for (const std::byte* place :
       {view, view + geometry().heap, handle->data(), handle->data() + 5000, handle->data() - 1})
    EXPECT_TRUE(Try(Access::kByte, place).happened);
  EXPECT_TRUE(Image() == before);
}

TEST_F(HiddenTest, GuardsOfAGigabyteStandAroundTheWritableMapping) {
  const std::vector<Mapping> control = ControlMappings();
  ASSERT_EQ(control.size(), 1u);
  constexpr uint64_t kGigabyte = uint64_t{1} << 30;
  std::byte* const begin = control.front().begin;
  for (const std::byte* place :
       {begin - 1, begin - kGigabyte, begin + options_.size, begin + options_.size + kGigabyte - 1})
    EXPECT_TRUE(Try(Access::kByte, place).happened);
}

}  // namespace
}  // namespace lightning::pkeys
