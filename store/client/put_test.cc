// What Put and Replace promise, in every mode.
#include <gtest/gtest.h>

#include <string>

#include "lightning/lightning.h"
#include "store/testing/conformance.h"

namespace lightning {
namespace {

using test::Value;

class PutTest : public test::Conformance {};
LIGHTNING_IN_ALL_MODES(PutTest);

TEST_P(PutTest, WhatIsPutCanBeGot) {
  Client client = Connect();
  const Result<uint64_t> version = client.Put("key", "value");
  ASSERT_TRUE(version.ok());
  const Result<Handle> handle = client.Get("key");
  ASSERT_TRUE(handle.ok());
  EXPECT_EQ(handle->view(), "value");
  EXPECT_EQ(handle->version(), *version);
  EXPECT_EQ(handle->metadata().size(), 0u);
}

TEST_P(PutTest, KeysHaveOneToAThousandAndTwentyFourBytes) {
  Client client = Connect();
  EXPECT_EQ(client.Put("", "v").code(), Code::kInvalidKey);
  EXPECT_EQ(client.Put(std::string(kMaxKeySize + 1, 'k'), "v").code(), Code::kInvalidKey);
  for (const size_t size :
       {size_t{1}, size_t{31}, size_t{32}, size_t{71}, size_t{72}, size_t{73}, size_t{74}, size_t{1000}, kMaxKeySize}) {
    const std::string key(size, 'k');
    ASSERT_TRUE(client.Put(key, test::Numbered("value of ", size)).ok()) << size;
    EXPECT_EQ(Value(client, key), test::Numbered("value of ", size));
  }
  EXPECT_EQ(test::Content(client).size(), 9u) << "no two of them are the same key";
  for (const auto& [key, value] : test::Content(client)) EXPECT_TRUE(client.Delete(key).ok());
}

TEST_P(PutTest, KeysAreAnyBytes) {
  Client client = Connect();
  std::string key;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string one(1, static_cast<char>(byte));
    if (byte < 40) {
      ASSERT_TRUE(client.Put(one, one + "!").ok()) << byte;
    }
    key += one;
  }
  ASSERT_TRUE(client.Put(key, "all of them").ok());
  ASSERT_TRUE(client.Put(std::string("a\0b", 3), "zero inside").ok());
  ASSERT_TRUE(client.Put("a", "short").ok());
  EXPECT_EQ(Value(client, key), "all of them");
  EXPECT_EQ(Value(client, std::string("a\0b", 3)), "zero inside");
  EXPECT_EQ(Value(client, std::string("a\0", 2)), "NOT_FOUND");
  EXPECT_EQ(Value(client, std::string(1, '\0')), std::string("\0!", 2));
}

TEST_P(PutTest, ValuesOfEverySizeComeBackAsTheyWere) {
  Client client = Connect();
  for (const size_t size : {0u, 1u, 7u, 63u, 64u, 65u, 4095u, 4096u, 4097u, 8192u, 8200u, 65'536u, 66'000u, 300'000u}) {
    const std::string value = Bytes(size, static_cast<uint32_t>(size));
    ASSERT_TRUE(client.Put("key", value).ok()) << size;
    const Result<Handle> handle = client.Get("key");
    ASSERT_TRUE(handle.ok());
    EXPECT_EQ(handle->size(), size);
    EXPECT_TRUE(handle->view() == value) << size;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(handle->data()) % 64, 0u) << "payloads are 64-byte aligned";
  }
}

TEST_P(PutTest, AnEmptyValueIsAValue) {
  Client client = Connect();
  ASSERT_TRUE(client.Put("empty", "").ok());
  const Result<Handle> handle = client.Get("empty");
  ASSERT_TRUE(handle.ok());
  EXPECT_EQ(handle->size(), 0u);
  EXPECT_NE(handle->data(), nullptr);
  EXPECT_TRUE(*client.Contains("empty"));
  EXPECT_EQ(StatsOf(client).bytes_used, 0u) << "it needs no memory";
}

TEST_P(PutTest, MetadataHasUpTo64KiB) {
  Client client = Connect();
  for (const size_t size : {size_t{1}, size_t{100}, size_t{65'535}, kMaxMetadataSize}) {
    const std::string metadata = Bytes(size, 7);
    for (const std::string& key : {std::string("short"), std::string(500, 'l')}) {
      for (const std::string& value : {std::string(), Bytes(1000, 9)}) {
        ASSERT_TRUE(client.Put(key, value, {AsBytes(metadata), {}}).ok()) << size;
        const Result<Handle> handle = client.Get(key);
        ASSERT_TRUE(handle.ok());
        EXPECT_TRUE(handle->view() == value);
        const std::string_view got(reinterpret_cast<const char*>(handle->metadata().data()), handle->metadata().size());
        EXPECT_TRUE(got == metadata) << size;
      }
    }
  }
  const std::string more = Bytes(kMaxMetadataSize + 1, 7);
  EXPECT_EQ(client.Put("key", "value", {AsBytes(more), {}}).code(), Code::kMetadataTooLarge);
  EXPECT_EQ(Value(client, "key"), "NOT_FOUND");
}

TEST_P(PutTest, AReplacementDropsTheMetadataOfTheOldValue) {
  Client client = Connect();
  ASSERT_TRUE(client.Put("key", "one", {AsBytes("note"), {}}).ok());
  ASSERT_TRUE(client.Put("key", "two").ok());
  EXPECT_EQ(client.Get("key")->metadata().size(), 0u);
}

TEST_P(PutTest, AValueThatNeverFitsIsTooLarge) {
  Client client = Connect();
  const uint64_t total = StatsOf(client).bytes_total;
  const std::string value(total + 1, 'v');
  EXPECT_EQ(client.Put("key", value).code(), Code::kValueTooLarge);
  EXPECT_EQ(client.Create("key", total + 1).code(), Code::kValueTooLarge);
  EXPECT_EQ(client.Create("key", ~uint64_t{0}).code(), Code::kValueTooLarge);
  EXPECT_TRUE(client.Put("key", std::string(total, 'v')).ok()) << "all of the heap does fit";
}

// With what stands beside it: a value that fits alone, and not with its metadata or its long key.
TEST_P(PutTest, AValueThatNeverFitsWithItsMetadataIsTooLarge) {
  options_.eviction = Eviction::kLru;
  Client client = Connect();
  ASSERT_TRUE(client.Put("bystander", "stays").ok());
  const uint64_t total = StatsOf(client).bytes_total;
  const std::string value(total, 'v');
  EXPECT_EQ(client.Put("key", value, {AsBytes("m"), {}}).code(), Code::kValueTooLarge);
  EXPECT_EQ(client.Put(std::string(kMaxKeySize, 'k'), value).code(), Code::kValueTooLarge);
  EXPECT_EQ(Value(client, "bystander"), "stays") << "nothing was evicted for it";
}

// Rule 9, and the contract of versions.
TEST_P(PutTest, VersionsOfAKeyRiseAndNeverRepeat) {
  Client client = Connect();
  uint64_t last = 0;
  for (int i = 0; i < 50; ++i) {
    const Result<uint64_t> version = client.Put("key", std::to_string(i));
    ASSERT_TRUE(version.ok());
    EXPECT_GT(*version, last);
    EXPECT_EQ(client.Get("key")->version(), *version);
    last = *version;
    if (i % 3 == 0) {
      ASSERT_TRUE(client.Delete("key").ok());  // and made anew: still larger
    }
  }
}

TEST_P(PutTest, ReplaceNeedsTheVersionThatIsThere) {
  Client client = Connect();
  EXPECT_EQ(client.Replace("key", AsBytes("x"), 1).code(), Code::kNotFound);
  const Result<uint64_t> first = client.Put("key", "one");
  ASSERT_TRUE(first.ok());
  const Result<uint64_t> second = client.Replace("key", AsBytes("two"), *first);
  ASSERT_TRUE(second.ok());
  EXPECT_GT(*second, *first);
  for (const std::string& value : {std::string("three"), Bytes(100'000, 1)}) {
    EXPECT_EQ(client.Replace("key", AsBytes(value), *first).code(), Code::kVersionMismatch);
    EXPECT_EQ(Value(client, "key"), "two") << "nothing changed";
  }
  ASSERT_TRUE(client.Delete("key").ok());
  EXPECT_EQ(client.Replace("key", AsBytes("x"), *second).code(), Code::kNotFound);
  ASSERT_TRUE(client.Put("key", "again").ok());
  EXPECT_EQ(client.Replace("key", AsBytes("x"), *second).code(), Code::kVersionMismatch)
      << "a key made anew is not the one that was read";
}

TEST_P(PutTest, AFailedPutChangesNothing) {
  Client client = Connect();
  ASSERT_TRUE(client.Put("key", "old").ok());
  const Stats before = StatsOf(client);
  EXPECT_EQ(client.Replace("key", AsBytes(Bytes(70'000, 1)), 999).code(), Code::kVersionMismatch);
  EXPECT_EQ(client.Replace("key", AsBytes("small"), 999).code(), Code::kVersionMismatch);
  const Stats after = StatsOf(client);
  EXPECT_EQ(after.bytes_used, before.bytes_used);
  EXPECT_EQ(after.bytes_free, before.bytes_free);
  EXPECT_EQ(after.objects, before.objects);
}

// The bytes of a handle lie in the store's own view, and may be put again.
TEST_P(PutTest, AValueMayComeFromTheStoreItself) {
  Client client = Connect();
  const std::string value = Bytes(10'000, 5);
  ASSERT_TRUE(client.Put("from", value).ok());
  const Result<Handle> handle = client.Get("from");
  ASSERT_TRUE(handle.ok());
  ASSERT_TRUE(client.Put("to", handle->bytes()).ok());
  ASSERT_TRUE(client.Put("from", handle->bytes()).ok()) << "also over itself";
  EXPECT_TRUE(Value(client, "to") == value);
  EXPECT_TRUE(Value(client, "from") == value);
}

TEST_P(PutTest, ManyReplacementsLeaveOneObject) {
  Client client = Connect();
  for (int i = 0; i < 2000; ++i) ASSERT_TRUE(client.Put("key", Bytes(100 + static_cast<size_t>(i % 5) * 1000, 1)).ok());
  const Stats stats = StatsOf(client);
  EXPECT_EQ(stats.objects, 1u);
  EXPECT_EQ(stats.bytes_retired, 0u);
  EXPECT_EQ(stats.puts, 2000u);
}

}  // namespace
}  // namespace lightning
