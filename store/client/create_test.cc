// What Create, Writer, Seal and Abort promise, in every mode.
#include <gtest/gtest.h>

#include <cstring>
#include <optional>
#include <string>

#include "lightning/lightning.h"
#include "store/testing/conformance.h"
#include "store/testing/mappings.h"

namespace lightning {
namespace {

using test::Value;

class CreateTest : public test::Conformance {
 protected:
  static void Fill(const Writer& writer, const std::string& value) {
    ASSERT_EQ(writer.Writable().size(), value.size());
    if (!value.empty()) std::memcpy(writer.Writable().data(), value.data(), value.size());
  }
};
LIGHTNING_IN_ALL_MODES(CreateTest);

TEST_P(CreateTest, WhatIsWrittenIsSeenOnceItIsSealed) {
  Client client = Connect(), other = Connect();
  for (const size_t size : {0u, 1u, 1000u, 65'535u, 65'536u, 70'001u, 200'000u}) {
    const std::string key = test::Numbered("key", size), value = Bytes(size, 5);
    Result<Writer> writer = client.Create(key, size, {AsBytes("about it"), {}});
    ASSERT_TRUE(writer.ok()) << size << writer.status().ToString();
    Fill(*writer, value);
    EXPECT_EQ(Value(other, key), "NOT_FOUND");
    EXPECT_TRUE(other.List(key)->empty());
    const Result<uint64_t> version = writer->Seal();
    ASSERT_TRUE(version.ok());
    EXPECT_TRUE(writer->Writable().empty());
    const Result<Handle> handle = other.Get(key);
    ASSERT_TRUE(handle.ok());
    EXPECT_TRUE(handle->view() == value) << size;
    EXPECT_EQ(handle->version(), *version);
    EXPECT_EQ(handle->metadata().size(), 8u);
    ASSERT_TRUE(client.Delete(key).ok());
  }
}

TEST_P(CreateTest, AKeyThatIsThereCannotBeCreated) {
  Client client = Connect();
  ASSERT_TRUE(client.Put("key", "value").ok());
  EXPECT_EQ(client.Create("key", 10).code(), Code::kAlreadyExists);
  EXPECT_EQ(client.Create("key", 100'000).code(), Code::kAlreadyExists);
  EXPECT_EQ(client.Create("", 10).code(), Code::kInvalidKey);
  EXPECT_EQ(StatsOf(client).objects, 1u);
}

TEST_P(CreateTest, AKeyThatIsBeingCreatedIsTaken) {
  Client client = Connect(), other = Connect();
  Result<Writer> writer = other.Create("key", 10);
  ASSERT_TRUE(writer.ok());
  for (Client* each : {&client, &other}) {
    EXPECT_EQ(each->Create("key", 10).code(), Code::kBeingCreated);
    EXPECT_EQ(each->Put("key", "value").code(), Code::kBeingCreated);
    EXPECT_EQ(each->Put("key", Bytes(100'000, 1)).code(), Code::kBeingCreated);
    EXPECT_EQ(each->Replace("key", AsBytes("value"), 1).code(), Code::kBeingCreated);
    EXPECT_EQ(each->Delete("key").code(), Code::kBeingCreated);
    const BatchItem items[] = {{"free", AsBytes("1"), {}}, {"key", AsBytes("2"), {}}};
    EXPECT_EQ(each->PutBatch(items).code(), Code::kBeingCreated);
    EXPECT_EQ(Value(*each, "free"), "NOT_FOUND");
  }
  ASSERT_TRUE(writer->Seal().ok());
  EXPECT_TRUE(client.Put("key", "value").ok());
}

TEST_P(CreateTest, ASealedOrAbortedWriterIsClosed) {
  Client client = Connect();
  for (const uint64_t size : {uint64_t{10}, uint64_t{100'000}}) {
    Result<Writer> sealed = client.Create("sealed", size), aborted = client.Create("aborted", size);
    ASSERT_TRUE(sealed.ok() && aborted.ok());
    EXPECT_TRUE(sealed->Seal().ok());
    EXPECT_EQ(sealed->Seal().code(), Code::kClosed);
    EXPECT_EQ(sealed->Abort().code(), Code::kClosed);
    EXPECT_TRUE(aborted->Abort().ok());
    EXPECT_EQ(aborted->Abort().code(), Code::kClosed);
    EXPECT_EQ(aborted->Seal().code(), Code::kClosed);
    EXPECT_TRUE(aborted->Writable().empty());
    EXPECT_EQ(Writer().Seal().code(), Code::kClosed);
    EXPECT_EQ(Value(client, "aborted"), "NOT_FOUND");
    ASSERT_TRUE(client.Delete("sealed").ok());
  }
}

TEST_P(CreateTest, AnAbortGivesEverythingBack) {
  Client client = Connect();
  const Stats before = StatsOf(client);
  for (const uint64_t size : {uint64_t{0}, uint64_t{10}, uint64_t{100'000}}) {
    Result<Writer> writer = client.Create("key", size);
    ASSERT_TRUE(writer.ok());
    EXPECT_EQ(StatsOf(client).objects, 1u);
    ASSERT_TRUE(writer->Abort().ok());
    { const Result<Writer> dropped = client.Create("key", size); }  // destroyed unsealed: aborted
    const Stats after = StatsOf(client);
    EXPECT_EQ(after.objects, 0u) << size;
    EXPECT_EQ(after.bytes_free, before.bytes_free) << size;
    EXPECT_TRUE(client.Put("key", "free again").ok());
    ASSERT_TRUE(client.Delete("key").ok());
  }
}

TEST_P(CreateTest, AWriterOutlivesItsClient) {
  std::optional<Writer> writer;
  {
    Client client = Connect();
    writer = std::move(*client.Create("key", 100'000));
  }
  Client other = Connect();
  Fill(*writer, Bytes(100'000, 6));
  EXPECT_EQ(other.Put("key", "x").code(), Code::kBeingCreated);
  ASSERT_TRUE(writer->Seal().ok());
  EXPECT_TRUE(Value(other, "key") == Bytes(100'000, 6));
  EXPECT_EQ(StatsOf(other).clients, 1u) << "the first is gone with its writer";
}

TEST_P(CreateTest, WritersCanBeMoved) {
  Client client = Connect();
  Writer first = std::move(*client.Create("a", 5));
  Writer second = std::move(first);
  EXPECT_EQ(first.Seal().code(), Code::kClosed);  // NOLINT: a moved-from writer is closed
  Fill(second, "hello");
  first = std::move(second);
  EXPECT_TRUE(first.Seal().ok());
  EXPECT_EQ(Value(client, "a"), "hello");
}

// Nobody has a writable mapping of a sealed object, not even its maker (but in mode none, which keeps nothing out).
TEST_P(CreateTest, SealTakesTheWritePermissionAway) {
  Client client = Connect();
  Result<Writer> writer = client.Create("key", 100'000);
  ASSERT_TRUE(writer.ok());
  std::memset(writer->Writable().data(), 'x', 100'000);
  const auto address = reinterpret_cast<uint64_t>(writer->Writable().data());
  ASSERT_TRUE(writer->Seal().ok());
  EXPECT_EQ(test::StoreLands(address, std::byte{'x'}), GetParam().isolation == Isolation::kNone);
  const Result<Handle> handle = client.Get("key");
  ASSERT_TRUE(handle.ok());
  EXPECT_EQ(test::StoreLands(reinterpret_cast<uint64_t>(handle->data()), std::byte{'x'}),
            GetParam().isolation == Isolation::kNone);
}

// What a large object exposes is its own pages: bytes beside them are nobody's.
TEST_P(CreateTest, AnExposedObjectSharesNoPage) {
  Client client = Connect();
  ASSERT_TRUE(client.Put("before", Bytes(100, 1)).ok());
  Result<Writer> writer = client.Create("key", 70'000);
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE(client.Put("after", Bytes(100, 2)).ok());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(writer->Writable().data()) % 4096, 0u);
  std::memset(writer->Writable().data(), 'x', (70'000 + 4095) / 4096 * 4096);  // up to the end of its last page
  ASSERT_TRUE(writer->Seal().ok());
  EXPECT_TRUE(Value(client, "before") == Bytes(100, 1));
  EXPECT_TRUE(Value(client, "after") == Bytes(100, 2));
}

TEST_P(CreateTest, ClosingAClientAbortsNothingThatIsStillHeld) {
  Client client = Connect();
  Result<Writer> writer = client.Create("key", 5);
  ASSERT_TRUE(writer.ok());
  client.Close();
  EXPECT_EQ(client.Put("other", "x").code(), Code::kClosed);
  Fill(*writer, "value");
  EXPECT_TRUE(writer->Seal().ok());
}

}  // namespace
}  // namespace lightning
