// Store::Open, Remove and Check: names and files of every kind.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "lightning/lightning.h"
#include "store/segment/segment_file.h"
#include "store/testing/testing.h"

namespace lightning {
namespace {

using test::SegmentName;
using test::SmallOptions;
using test::TempFolder;
using test::Value;
using test::Violations;

Options WithMode(OpenMode mode) {
  Options options = SmallOptions();
  options.mode = mode;
  return options;
}

TEST(StoreTest, OpenCreatesWhatIsAbsentUnlessToldOtherwise) {
  const SegmentName name;
  EXPECT_EQ(Store::Open(name.name(), WithMode(OpenMode::kOpen)).code(), Code::kNoSegment);
  EXPECT_NE(access(name.path().c_str(), F_OK), 0) << "kOpen made nothing";
  EXPECT_TRUE(Store::Open(name.name(), WithMode(OpenMode::kOpenOrCreate)).ok());
  EXPECT_TRUE(Store::Open(name.name(), WithMode(OpenMode::kOpenOrCreate)).ok());
  EXPECT_TRUE(Store::Open(name.name(), WithMode(OpenMode::kOpen)).ok());
  EXPECT_EQ(Store::Open(name.name(), WithMode(OpenMode::kCreate)).code(), Code::kAlreadyExists);
  EXPECT_TRUE(Store::Remove(name.name()).ok());
  EXPECT_EQ(Store::Remove(name.name()).code(), Code::kNoSegment);
  EXPECT_TRUE(Store::Open(name.name(), WithMode(OpenMode::kCreate)).ok());
}

TEST(StoreTest, AnExistingSegmentKeepsItsGeometry) {
  const SegmentName name;
  ASSERT_TRUE(Store::Open(name.name(), SmallOptions()).ok());
  Options larger = SmallOptions();
  larger.size *= 2;
  larger.max_objects *= 2;
  const Result<Store> store = Store::Open(name.name(), larger);
  ASSERT_TRUE(store.ok());
  Result<Client> client = store->Connect();
  ASSERT_TRUE(client.ok());
  EXPECT_EQ(client->GetStats()->segment_size, SmallOptions().size);
  EXPECT_EQ(client->GetStats()->objects_max, SmallOptions().max_objects);
}

TEST(StoreTest, NamesThatAreNoneAreRefused) {
  EXPECT_EQ(Store::Open("").code(), Code::kInvalidArgument);
  EXPECT_EQ(Store::Open(std::string_view("a\0b", 3)).code(), Code::kInvalidArgument);
  EXPECT_FALSE(Store::Open(std::string(300, 'n'), SmallOptions()).ok());
  EXPECT_EQ(Store::Open("/no/such/folder/segment", SmallOptions()).code(), Code::kNoSegment);
  Options bad = SmallOptions();
  bad.max_objects = 0;
  const SegmentName name;
  EXPECT_EQ(Store::Open(name.name(), bad).code(), Code::kInvalidArgument);
  EXPECT_NE(access(name.path().c_str(), F_OK), 0);
}

TEST(StoreTest, WhatIsNoRegularFileIsRefusedAtOnce) {
  const TempFolder folder;
  EXPECT_EQ(Store::Open(folder.path(), SmallOptions()).code(), Code::kBadFormat);
  EXPECT_FALSE(Store::Check(folder.path()).ok);
  ASSERT_EQ(mkfifo((folder / "fifo").c_str(), 0600), 0);
  EXPECT_EQ(Store::Open(folder / "fifo", SmallOptions()).code(), Code::kBadFormat);
  EXPECT_FALSE(Store::Check(folder / "fifo").ok) << "and nobody waits for a writer";
  EXPECT_FALSE(Store::Check("/dev/null").ok);
  EXPECT_FALSE(Store::Check(folder / "absent").ok);
}

TEST(StoreTest, ADanglingLinkIsAnErrorAndLeavesNothing) {
  const TempFolder folder;
  const std::string link = folder / "link";
  ASSERT_EQ(symlink("nowhere", link.c_str()), 0);
  EXPECT_FALSE(Store::Open(link, SmallOptions()).ok());
  EXPECT_EQ(folder.files(), 1u);
}

// An unlinked name leaves attached clients alone; the next Open makes another segment.
TEST(StoreTest, AttachedClientsGoOnWithARemovedSegment) {
  const SegmentName name;
  const Result<Store> store = Store::Open(name.name(), SmallOptions());
  Result<Client> client = store->Connect();
  ASSERT_TRUE(client->Put("key", "old").ok());
  ASSERT_TRUE(Store::Remove(name.name()).ok());
  EXPECT_EQ(store->Connect().code(), Code::kNoSegment);
  const Result<Store> another = Store::Open(name.name(), SmallOptions());
  Result<Client> newer = another->Connect();
  EXPECT_EQ(Value(*newer, "key"), "NOT_FOUND");
  EXPECT_TRUE(newer->Put("key", "new").ok());
  EXPECT_EQ(Value(*client, "key"), "old");
  EXPECT_TRUE(client->Put("other", "value").ok());
}

TEST(StoreTest, RacingOpenersEndUpInOneSegment) {
  const SegmentName name;
  std::vector<std::thread> threads;
  std::atomic<int> ready{0}, failed{0};
  for (uint32_t i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (++ready; ready < 4;) std::this_thread::yield();
      const Result<Store> store = Store::Open(name.name(), SmallOptions());
      Result<Client> client = store.ok() ? store->Connect() : Result<Client>(store.status());
      failed += !client.ok() || !client->Put(test::Numbered("key", i), "value").ok();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
  Result<Client> client = Store::Open(name.name(), SmallOptions())->Connect();
  EXPECT_EQ(client->List()->size(), 4u);
}

// --- Files that may be anything at all

class DamageTest : public testing::Test {
 protected:
  void Write(const std::string& bytes) const {
    FILE* const file = fopen(path_.c_str(), "wb");
    ASSERT_NE(file, nullptr);
    ASSERT_EQ(fwrite(bytes.data(), 1, bytes.size(), file), bytes.size());
    fclose(file);
  }
  std::string Read() const {
    std::string bytes(4 << 20, '\0');
    FILE* const file = fopen(path_.c_str(), "rb");
    EXPECT_NE(file, nullptr);
    bytes.resize(fread(bytes.data(), 1, bytes.size(), file));
    fclose(file);
    return bytes;
  }
  // A segment with some of everything in it, all clients gone.
  std::string Sound() const {
    const Result<Store> store = Store::Open(path_, SmallOptions());
    Result<Client> client = store->Connect();
    for (uint32_t i = 0; i < 40; ++i) EXPECT_TRUE(client->Put(test::Numbered("key", i), std::string(i * 97, 'v')).ok());
    EXPECT_TRUE(client->Put(std::string(500, 'k'), "long").ok());
    for (uint32_t i = 0; i < 40; i += 3) EXPECT_TRUE(client->Delete(test::Numbered("key", i)).ok());
    client->Close();
    return Read();
  }
  const TempFolder folder_;
  const std::string path_ = folder_ / "segment";
};

TEST_F(DamageTest, RandomBytesAreRefusedAndReported) {
  for (uint32_t seed = 1; seed <= 200; ++seed) {
    std::mt19937 random(seed);
    std::string bytes(64 * 1024, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    Write(bytes);
    EXPECT_EQ(Store::Open(path_, SmallOptions()).code(), Code::kBadFormat) << "seed " << seed;
    const CheckReport report = Store::Check(path_);
    EXPECT_FALSE(report.ok || report.violations.empty()) << "seed " << seed;
    EXPECT_EQ(Read(), bytes) << "and nothing is changed";
  }
}

// With a superblock in front whose checksum is right: everything behind it is looked at, and no bytes crash that.
TEST_F(DamageTest, RandomBytesBehindASoundSuperblockAreReported) {
  const std::string sound = Sound();
  for (uint32_t seed = 1; seed <= 200; ++seed) {
    std::mt19937 random(seed);
    std::string bytes = sound;
    for (size_t i = kPageSize; i < bytes.size(); ++i) bytes[i] = static_cast<char>(random());
    Write(bytes);
    const CheckReport report = Store::Check(path_);
    EXPECT_FALSE(report.ok) << "seed " << seed;
    EXPECT_FALSE(report.violations.empty() && !report.busy) << "seed " << seed;
  }
}

// The same with the slots' state left sound, so that the whole of the rest is looked at; one table after another.
TEST_F(DamageTest, RandomBytesInOneTableAreReported) {
  const std::string sound = Sound();
  const Result<Geometry> g = Geometry::Compute(SmallOptions());
  const std::pair<uint64_t, uint64_t> tables[] = {{g->central, g->slots},
                                                  {g->buckets, g->object_table},
                                                  {g->object_table, g->block_table},
                                                  {g->block_table, g->events},
                                                  {g->buckets, g->events}};
  for (uint32_t seed = 1; seed <= 100; ++seed) {
    for (const auto& [begin, end] : tables) {
      std::mt19937_64 random(seed);
      std::string bytes = sound;
      for (uint64_t at = begin; at < end; at += 8) {
        const uint64_t word = random() >> random() % 64;  // small numbers too: they look like ids
        memcpy(bytes.data() + at, &word, 8);
      }
      Write(bytes);
      EXPECT_FALSE(Store::Check(path_).ok) << "seed " << seed << " table at " << begin;
    }
  }
}

// A few flipped words in a sound segment: never a crash, and an answer each time.
TEST_F(DamageTest, AFewWrongWordsAreSurvived) {
  const std::string sound = Sound();
  const Result<Geometry> g = Geometry::Compute(SmallOptions());
  uint32_t reported = 0;
  for (uint32_t seed = 1; seed <= 500; ++seed) {
    std::mt19937_64 random(seed);
    std::string bytes = sound;
    for (uint64_t i = 0; i <= seed % 3; ++i) {
      const uint64_t at = g->central + random() % (g->events - g->central) / 8 * 8;
      const uint64_t word = random() >> random() % 64;
      memcpy(bytes.data() + at, &word, 8);
    }
    Write(bytes);
    const CheckReport report = Store::Check(path_);
    EXPECT_TRUE(report.ok || report.busy || !report.violations.empty()) << "seed " << seed;
    reported += !report.ok;
  }
  EXPECT_GT(reported, 20u);
}

TEST_F(DamageTest, ASoundSegmentIsReportedSound) {
  Sound();
  EXPECT_EQ(Violations(Store::Check(path_)), "");
  const std::string before = Read();
  static_cast<void>(Store::Check(path_));
  EXPECT_EQ(Read(), before) << "Check changes nothing";
}

TEST_F(DamageTest, ATruncatedSegmentIsReported) {
  const std::string sound = Sound();
  for (const size_t size : {size_t{0}, size_t{10}, sizeof(Superblock), kPageSize, sound.size() / 2, sound.size() - 1}) {
    Write(sound.substr(0, size));
    EXPECT_FALSE(Store::Check(path_).ok) << size;
    EXPECT_FALSE(Store::Open(path_, SmallOptions()).ok()) << size;
  }
}

}  // namespace
}  // namespace lightning
