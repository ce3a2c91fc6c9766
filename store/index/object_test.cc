#include "store/index/object.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "store/testing/testing.h"

namespace lightning {
namespace {

using test::MemorySegment;
using test::Poke;
using test::SmallOptions;

class ObjectTest : public testing::Test {
 protected:
  // An object with this key at the beginning of the heap, as Build makes it.
  const Object& Make(const std::string& name, uint64_t value_size, uint32_t metadata_size) {
    const Object& object = segment_.object(ObjectId{1});
    const Key key(segment_, name);
    Poke(object.head, ObjectHead{ObjectState::kSealed, false, static_cast<uint16_t>(name.size()), 0}.Encode());
    Poke(object.payload, memory_.geometry().heap);
    Poke(object.size, value_size);
    for (uint32_t i = 0; i < key.words_used; ++i) Poke(object.key[i], key.words[i]);
    Poke(object.storage, Pack(metadata_size, 1));
    const ObjectFields fields = ObjectFields::Read(object);
    if (fields.long_key()) memcpy(memory_.memory() + fields.tail(), name.data(), name.size());
    return object;
  }
  const MemorySegment memory_{SmallOptions()};
  const Segment segment_ = memory_.segment();
};

TEST_F(ObjectTest, KeysOfEveryLengthAreKeptAndCompared) {
  for (size_t size = 1; size <= kMaxKeySize; size += size < 100 ? 1 : 37) {
    std::string name(size, '\0');
    for (size_t i = 0; i < size; ++i) name[i] = static_cast<char>(i * 7 + size);  // zeroes among them
    const Object& object = Make(name, 100, 10);
    EXPECT_EQ(KeyOf(segment_, object), name) << size;
    EXPECT_EQ(HashOf(segment_, object), Key(segment_, name).hash) << size;
    EXPECT_TRUE(KeyEquals(segment_, object, Key(segment_, name))) << size;
    for (const size_t at : {size_t{0}, size / 2, size - 1}) {
      std::string other = name;
      other[at] = static_cast<char>(other[at] ^ 1);
      EXPECT_FALSE(KeyEquals(segment_, object, Key(segment_, other))) << size << " at " << at;
    }
    EXPECT_FALSE(KeyEquals(segment_, object, Key(segment_, name + '\0'))) << "a zero more is another key, " << size;
    if (size > 1) {
      EXPECT_FALSE(KeyEquals(segment_, object, Key(segment_, name.substr(0, size - 1)))) << size;
    }
  }
}

TEST_F(ObjectTest, HashesDependOnTheSegmentsSeed) {
  Options options = SmallOptions();
  options.hash_seed = 999;
  const MemorySegment other(options);
  EXPECT_NE(Key(segment_, "key").hash, Key(other.segment(), "key").hash);
  EXPECT_EQ(Key(segment_, "key").hash, Key(memory_.segment(), "key").hash);
}

TEST_F(ObjectTest, ExtentsHoldValueKeyAndMetadata) {
  EXPECT_EQ(ObjectFields::Read(Make("k", 0, 0)).granules(), 0u) << "no block for nothing";
  EXPECT_EQ(ObjectFields::Read(Make("k", 1, 0)).granules(), 1u);
  EXPECT_EQ(ObjectFields::Read(Make("k", 64, 0)).granules(), 1u);
  EXPECT_EQ(ObjectFields::Read(Make("k", 65, 0)).granules(), 2u);
  EXPECT_EQ(ObjectFields::Read(Make("k", 64, 1)).granules(), 2u);
  EXPECT_EQ(ObjectFields::Read(Make(std::string(kInlineKey, 'k'), 64, 0)).granules(), 1u);
  EXPECT_EQ(ObjectFields::Read(Make(std::string(kInlineKey + 1, 'k'), 64, 0)).granules(), 3u);
  const ObjectFields fields = ObjectFields::Read(Make(std::string(100, 'k'), 70, 5));
  EXPECT_EQ(fields.tail(), fields.payload + 128);
  EXPECT_EQ(fields.metadata(), fields.tail() + 100);
}

// What a reader sees without a lock may be torn; whatever it is, no byte outside the segment is read.
TEST_F(ObjectTest, TornObjectsAreReadWithinTheHeap) {
  std::mt19937_64 random(1);
  const Object& object = segment_.object(ObjectId{1});
  const Key key(segment_, std::string(200, 'k'));
  for (int round = 0; round < 20'000; ++round) {
    for (const Cell* cell : {&object.head, &object.payload, &object.size, &object.storage})
      Poke(*cell, random() >> random() % 64);
    if (round % 2 == 0)  // a head that looks well, so that the rest is read
      Poke(object.head, ObjectHead{ObjectState::kSealed, round % 4 == 0, 200, 0}.Encode());
    const ObjectFields fields = ObjectFields::Read(object);
    if (fields.Sane(segment_) && fields.tail_size() != 0) {
      EXPECT_TRUE(segment_.InHeap(fields.tail(), fields.tail_size()));
    }
    EXPECT_LE(KeyOf(segment_, object).size(), kMaxKeySize);
    static_cast<void>(KeyEquals(segment_, object, key));
  }
}

}  // namespace
}  // namespace lightning
