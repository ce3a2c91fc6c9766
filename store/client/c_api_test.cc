#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "lightning/c.h"
#include "lightning/lightning.h"
#include "store/testing/testing.h"

extern "C" {
size_t lightning_c_sizes(size_t* sizes, size_t room);
int lightning_c_round_trip(const char* name);
}

namespace lightning {
namespace {

class CApiTest : public testing::Test {
 protected:
  void SetUp() override {
    name_ = "lightning-c-api-test-" + std::to_string(getpid());
    static_cast<void>(lightning_remove(name_.c_str()));
    lightning_options options;
    ASSERT_EQ(lightning_options_init(&options), LIGHTNING_OK);
    options.mode = LIGHTNING_CREATE;
    options.size = 8 << 20;
    options.max_objects = 128;
    options.max_clients = 8;
    options.event_slots = 8;
    ASSERT_EQ(lightning_open(name_.c_str(), &options, &client_), LIGHTNING_OK) << lightning_last_error();
  }
  void TearDown() override {
    if (client_ != nullptr) {
      EXPECT_EQ(lightning_close(client_), LIGHTNING_OK);
    }
    EXPECT_EQ(lightning_remove(name_.c_str()), LIGHTNING_OK);
  }

  lightning_code Put(const std::string& key, const std::string& value, uint64_t* version = nullptr) {
    return lightning_put(client_, key.data(), key.size(), value.data(), value.size(), nullptr, 0, 0, version);
  }
  // The value, or the name of the code.
  std::string Get(const std::string& key) {
    lightning_object* object = nullptr;
    const lightning_code code = lightning_get(client_, key.data(), key.size(), 0, &object);
    if (code != LIGHTNING_OK) return lightning_code_name(code);
    std::string value(static_cast<const char*>(lightning_object_data(object)), lightning_object_size(object));
    EXPECT_EQ(lightning_release(object), LIGHTNING_OK);
    return value;
  }

  std::string name_;
  lightning_client* client_ = nullptr;
};

TEST_F(CApiTest, AHeaderCompiledAsCSeesTheSameTypes) {
  const size_t expected[] = {
      sizeof(lightning_options),      sizeof(lightning_batch_item),      sizeof(lightning_object_info),
      sizeof(lightning_stats_result), sizeof(lightning_check_result),    sizeof(lightning_event),
      sizeof(lightning_code),         sizeof(lightning_recovery_result), offsetof(lightning_options, lock_timeout_ns)};
  size_t sizes[16] = {};
  ASSERT_EQ(lightning_c_sizes(sizes, 16), std::size(expected));
  for (size_t i = 0; i < std::size(expected); ++i) EXPECT_EQ(sizes[i], expected[i]) << i;
}

TEST_F(CApiTest, ACProgramDoesARoundTrip) { EXPECT_EQ(lightning_c_round_trip(name_.c_str()), 0); }

TEST_F(CApiTest, OptionsStartAsTheDefaultsOfCpp) {
  lightning_options options;
  std::memset(&options, 0xAB, sizeof options);
  ASSERT_EQ(lightning_options_init(&options), LIGHTNING_OK);
  const Options defaults;
  EXPECT_EQ(options.size, defaults.size);
  EXPECT_EQ(options.max_objects, defaults.max_objects);
  EXPECT_EQ(options.max_clients, defaults.max_clients);
  EXPECT_EQ(options.max_pins, defaults.max_pins);
  EXPECT_EQ(options.event_slots, defaults.event_slots);
  EXPECT_EQ(options.isolation, LIGHTNING_ISOLATION_AUTO);
  EXPECT_EQ(options.mode, LIGHTNING_OPEN_OR_CREATE);
  EXPECT_EQ(options.lock_timeout_ns, 1'000'000'000u);
}

TEST_F(CApiTest, OptionsThatMakeNoSenseAreRefused) {
  lightning_client* client = client_;
  lightning_options options = {};  // not initialised by the library
  EXPECT_EQ(lightning_open(name_.c_str(), &options, &client), LIGHTNING_INVALID_ARGUMENT);
  EXPECT_EQ(client, nullptr);
  for (int32_t lightning_options::*field :
       {&lightning_options::mode, &lightning_options::eviction, &lightning_options::isolation}) {
    for (const int32_t number : {-1, 5, 99}) {
      ASSERT_EQ(lightning_options_init(&options), LIGHTNING_OK);
      options.*field = number;
      EXPECT_EQ(lightning_open(name_.c_str(), &options, &client), LIGHTNING_INVALID_ARGUMENT) << number;
    }
  }
}

TEST_F(CApiTest, OpeningWhatIsAbsentOrThereAlready) {
  lightning_options options;
  ASSERT_EQ(lightning_options_init(&options), LIGHTNING_OK);
  lightning_client* client = nullptr;
  options.mode = LIGHTNING_OPEN;
  EXPECT_EQ(lightning_open((name_ + "-absent").c_str(), &options, &client), LIGHTNING_NO_SEGMENT);
  EXPECT_NE(std::string(lightning_last_error()).find("NO_SEGMENT"), std::string::npos);
  options.mode = LIGHTNING_CREATE;
  EXPECT_EQ(lightning_open(name_.c_str(), &options, &client), LIGHTNING_ALREADY_EXISTS);
  EXPECT_EQ(client, nullptr);
}

TEST_F(CApiTest, PutGetReplaceDelete) {
  const std::string binary("a\0b\xff", 4);
  uint64_t first = 0, second = 0;
  ASSERT_EQ(Put("key", binary, &first), LIGHTNING_OK);
  EXPECT_EQ(Get("key"), binary);
  EXPECT_EQ(lightning_replace(client_, "key", 3, "new", 3, nullptr, 0, first + 1, 0, &second),
            LIGHTNING_VERSION_MISMATCH);
  EXPECT_EQ(second, 0u);
  EXPECT_EQ(Get("key"), binary);
  ASSERT_EQ(lightning_replace(client_, "key", 3, "new", 3, "meta", 4, first, 0, &second), LIGHTNING_OK);
  EXPECT_NE(second, first);

  lightning_object* object = nullptr;
  ASSERT_EQ(lightning_get(client_, "key", 3, 0, &object), LIGHTNING_OK);
  EXPECT_EQ(lightning_object_version(object), second);
  ASSERT_EQ(lightning_object_metadata_size(object), 4u);
  EXPECT_EQ(std::memcmp(lightning_object_metadata(object), "meta", 4), 0);
  ASSERT_EQ(lightning_delete(client_, "key", 3, 0), LIGHTNING_OK);
  EXPECT_EQ(Get("key"), "NOT_FOUND");
  ASSERT_EQ(lightning_object_size(object), 3u);
  EXPECT_EQ(std::memcmp(lightning_object_data(object), "new", 3), 0) << "a pinned object outlives its key";
  EXPECT_EQ(lightning_release(object), LIGHTNING_OK);
  EXPECT_EQ(lightning_delete(client_, "key", 3, 0), LIGHTNING_NOT_FOUND);
}

TEST_F(CApiTest, AnEmptyValueMayBeNull) {
  ASSERT_EQ(lightning_put(client_, "empty", 5, nullptr, 0, nullptr, 0, 0, nullptr), LIGHTNING_OK);
  EXPECT_EQ(Get("empty"), "");
  EXPECT_EQ(lightning_put(client_, "", 0, "v", 1, nullptr, 0, 0, nullptr), LIGHTNING_INVALID_KEY);
}

TEST_F(CApiTest, AnObjectOutlivesItsClient) {
  ASSERT_EQ(Put("key", "value"), LIGHTNING_OK);
  lightning_object* object = nullptr;
  ASSERT_EQ(lightning_get(client_, "key", 3, 0, &object), LIGHTNING_OK);
  ASSERT_EQ(lightning_close(client_), LIGHTNING_OK);
  client_ = nullptr;
  EXPECT_EQ(std::memcmp(lightning_object_data(object), "value", 5), 0);
  EXPECT_EQ(lightning_release(object), LIGHTNING_OK);
}

TEST_F(CApiTest, ABatchIsThereWholeOrNotAtAll) {
  const lightning_batch_item good[] = {{"a", 1, "1", 1, nullptr, 0}, {"b", 1, "22", 2, "m", 1}};
  uint64_t versions[2] = {};
  ASSERT_EQ(lightning_put_batch(client_, good, 2, 0, versions), LIGHTNING_OK);
  EXPECT_EQ(Get("a"), "1");
  EXPECT_EQ(Get("b"), "22");
  EXPECT_NE(versions[0], 0u);
  EXPECT_NE(versions[1], 0u);
  const lightning_batch_item bad[] = {{"c", 1, "3", 1, nullptr, 0}, {"", 0, "4", 1, nullptr, 0}};
  EXPECT_EQ(lightning_put_batch(client_, bad, 2, 0, nullptr), LIGHTNING_INVALID_KEY);
  const lightning_batch_item null_value[] = {{"c", 1, "3", 1, nullptr, 0}, {"d", 1, nullptr, 1, nullptr, 0}};
  EXPECT_EQ(lightning_put_batch(client_, null_value, 2, 0, nullptr), LIGHTNING_INVALID_ARGUMENT);
  EXPECT_EQ(Get("c"), "NOT_FOUND");
  EXPECT_EQ(lightning_put_batch(client_, good, 65, 0, nullptr), LIGHTNING_INVALID_ARGUMENT);
}

TEST_F(CApiTest, AWriterIsSeenOnceItIsSealed) {
  lightning_writer* writer = nullptr;
  ASSERT_EQ(lightning_create(client_, "w", 1, 100'000, "meta", 4, 0, &writer), LIGHTNING_OK) << lightning_last_error();
  ASSERT_EQ(lightning_writer_size(writer), 100'000u);
  std::memset(lightning_writer_data(writer), 'x', 100'000);
  EXPECT_EQ(Get("w"), "NOT_FOUND");
  uint64_t version = 0;
  ASSERT_EQ(lightning_seal(writer, &version), LIGHTNING_OK);
  EXPECT_NE(version, 0u);
  EXPECT_EQ(Get("w"), std::string(100'000, 'x'));
  EXPECT_EQ(lightning_create(client_, "w", 1, 1, nullptr, 0, 0, &writer), LIGHTNING_ALREADY_EXISTS);
  EXPECT_EQ(writer, nullptr);

  ASSERT_EQ(lightning_create(client_, "gone", 4, 10, nullptr, 0, 0, &writer), LIGHTNING_OK);
  ASSERT_EQ(lightning_abort(writer), LIGHTNING_OK);
  EXPECT_EQ(Get("gone"), "NOT_FOUND");
  EXPECT_EQ(Put("gone", "free again"), LIGHTNING_OK);
}

TEST_F(CApiTest, ContainsAndList) {
  for (const char* key : {"b/2", "a", "b/1", "b"}) ASSERT_EQ(Put(key, "value"), LIGHTNING_OK);
  bool found = false;
  ASSERT_EQ(lightning_contains(client_, "a", 1, &found), LIGHTNING_OK);
  EXPECT_TRUE(found);
  ASSERT_EQ(lightning_contains(client_, "z", 1, &found), LIGHTNING_OK);
  EXPECT_FALSE(found);

  std::vector<std::string> keys;
  const auto collect = [](const lightning_object_info* info, void* context) {
    auto* list = static_cast<std::vector<std::string>*>(context);
    EXPECT_EQ(info->size, 5u);
    list->emplace_back(static_cast<const char*>(info->key), info->key_size);
    return list->size() == 3 ? 1 : 0;
  };
  ASSERT_EQ(lightning_list(client_, "b/", 2, collect, &keys), LIGHTNING_OK);
  EXPECT_EQ(keys, (std::vector<std::string>{"b/1", "b/2"}));
  keys.clear();
  ASSERT_EQ(lightning_list(client_, nullptr, 0, collect, &keys), LIGHTNING_OK);
  EXPECT_EQ(keys, (std::vector<std::string>{"a", "b", "b/1"})) << "the callback ended the list after three";
}

TEST_F(CApiTest, NoExceptionOfACallbackGetsThrough) {
  ASSERT_EQ(Put("key", "value"), LIGHTNING_OK);
  const auto thrower = [](const lightning_object_info*, void*) -> int { throw std::runtime_error("from a callback"); };
  EXPECT_EQ(lightning_list(client_, nullptr, 0, thrower, nullptr), LIGHTNING_SYSTEM);
  EXPECT_EQ(Get("key"), "value");
}

TEST_F(CApiTest, StatsEvictRecoverCheck) {
  ASSERT_EQ(Put("key", std::string(1000, 'x')), LIGHTNING_OK);
  lightning_stats_result stats;
  ASSERT_EQ(lightning_stats(client_, &stats), LIGHTNING_OK);
  EXPECT_EQ(stats.objects, 1u);
  EXPECT_EQ(stats.objects_max, 128u);
  EXPECT_EQ(stats.clients, 1u);
  EXPECT_GE(stats.bytes_used, 1000u);
  EXPECT_EQ(stats.bytes_free, stats.bytes_total - stats.bytes_used - stats.bytes_retired);
  EXPECT_NE(stats.isolation, LIGHTNING_ISOLATION_AUTO);
  EXPECT_EQ(stats.isolation, lightning_client_isolation(client_));
  EXPECT_EQ(std::string(lightning_client_path(client_)), "/dev/shm/" + name_);

  lightning_recovery_result recovery = {};
  ASSERT_EQ(lightning_recover(client_, &recovery), LIGHTNING_OK);
  EXPECT_EQ(recovery.recovered, 0u);
  EXPECT_EQ(recovery.alive, 1u);
  ASSERT_EQ(lightning_recover(client_, nullptr), LIGHTNING_OK);

  uint64_t freed = 0;
  ASSERT_EQ(lightning_evict(client_, 1, &freed), LIGHTNING_OK);
  EXPECT_GE(freed, 1000u);
  EXPECT_EQ(Get("key"), "NOT_FOUND");

  lightning_check_result result = {};
  ASSERT_EQ(lightning_check(client_, nullptr, nullptr, &result), LIGHTNING_OK);
  EXPECT_TRUE(result.ok);
  EXPECT_EQ(result.violations, 0u);
}

TEST_F(CApiTest, CheckOfAFileNamesItsViolations) {
  lightning_check_result result = {};
  ASSERT_EQ(lightning_check_file(name_.c_str(), nullptr, nullptr, &result), LIGHTNING_OK);
  EXPECT_TRUE(result.ok);
  const std::string path = "/dev/shm/" + name_ + "-garbage";
  FILE* file = std::fopen(path.c_str(), "w");
  ASSERT_NE(file, nullptr);
  ASSERT_EQ(std::fwrite("no segment at all", 1, 17, file), 17u);
  ASSERT_EQ(std::fclose(file), 0);
  std::vector<std::string> violations;
  const auto collect = [](const char* violation, void* context) {
    static_cast<std::vector<std::string>*>(context)->emplace_back(violation);
  };
  ASSERT_EQ(lightning_check_file(path.c_str(), collect, &violations, &result), LIGHTNING_OK);
  unlink(path.c_str());
  EXPECT_FALSE(result.ok);
  EXPECT_GE(result.violations, 1u);
  EXPECT_EQ(violations.size(), result.violations);
}

TEST_F(CApiTest, EventsComeInOrderAndLossIsTold) {
  lightning_subscription* subscription = nullptr;
  ASSERT_EQ(lightning_subscribe(client_, &subscription), LIGHTNING_OK);
  lightning_event event = {};
  EXPECT_EQ(lightning_next_event(subscription, 1'000'000, &event), LIGHTNING_TIMEOUT);
  ASSERT_EQ(Put("key", "value"), LIGHTNING_OK);
  ASSERT_EQ(lightning_delete(client_, "key", 3, 0), LIGHTNING_OK);
  ASSERT_EQ(lightning_next_event(subscription, 1'000'000'000, &event), LIGHTNING_OK);
  EXPECT_EQ(event.kind, LIGHTNING_EVENT_SEALED);
  EXPECT_EQ(std::string(static_cast<const char*>(event.key), event.key_size), "key");
  EXPECT_EQ(event.size, 5u);
  const uint64_t sequence = event.sequence;
  ASSERT_EQ(lightning_next_event(subscription, 1'000'000'000, &event), LIGHTNING_OK);
  EXPECT_EQ(event.kind, LIGHTNING_EVENT_DELETED);
  EXPECT_EQ(event.sequence, sequence + 1);

  for (int i = 0; i < 1000; ++i) ASSERT_EQ(Put("key" + std::to_string(i % 10), "value"), LIGHTNING_OK);
  EXPECT_EQ(lightning_next_event(subscription, 1'000'000'000, &event), LIGHTNING_FELL_BEHIND);
  const uint64_t lost = lightning_events_lost(subscription);
  EXPECT_GT(lost, 0u);
  ASSERT_EQ(lightning_next_event(subscription, 1'000'000'000, &event), LIGHTNING_OK);
  EXPECT_EQ(event.sequence, sequence + 2 + lost);
  EXPECT_EQ(lightning_unsubscribe(subscription), LIGHTNING_OK);
}

TEST_F(CApiTest, TheLongestTimeoutWaitsForEver) {
  lightning_subscription* subscription = nullptr;
  ASSERT_EQ(lightning_subscribe(client_, &subscription), LIGHTNING_OK);
  std::thread putter([&, waiter = gettid()] {
    EXPECT_TRUE(test::WaitUntilItSleeps(waiter));
    EXPECT_EQ(Put("key", "value"), LIGHTNING_OK);
  });
  lightning_object* object = nullptr;
  EXPECT_EQ(lightning_get(client_, "key", 3, UINT64_MAX, &object), LIGHTNING_OK);
  putter.join();
  EXPECT_EQ(lightning_release(object), LIGHTNING_OK);
  lightning_event event = {};
  ASSERT_EQ(lightning_next_event(subscription, UINT64_MAX, &event), LIGHTNING_OK);
  std::thread deleter([&, waiter = gettid()] {
    EXPECT_TRUE(test::WaitUntilItSleeps(waiter));
    EXPECT_EQ(lightning_delete(client_, "key", 3, UINT64_MAX), LIGHTNING_OK);
  });
  EXPECT_EQ(lightning_next_event(subscription, UINT64_MAX, &event), LIGHTNING_OK);
  EXPECT_EQ(event.kind, LIGHTNING_EVENT_DELETED);
  deleter.join();
  EXPECT_EQ(lightning_unsubscribe(subscription), LIGHTNING_OK);
}

// Every pointer that is needed, left out one at a time.
TEST_F(CApiTest, NullIsAnErrorAndNeverACrash) {
  constexpr lightning_code kBad = LIGHTNING_INVALID_ARGUMENT;
  lightning_client* client = nullptr;
  lightning_object* object = nullptr;
  lightning_writer* writer = nullptr;
  lightning_subscription* subscription = nullptr;
  lightning_check_result check;
  lightning_event event;
  bool found;
  const auto list = [](const lightning_object_info*, void*) { return 0; };
  EXPECT_EQ(lightning_options_init(nullptr), kBad);
  EXPECT_EQ(lightning_open(nullptr, nullptr, &client), kBad);
  EXPECT_EQ(lightning_open(name_.c_str(), nullptr, nullptr), kBad);
  EXPECT_EQ(lightning_close(nullptr), kBad);
  EXPECT_EQ(lightning_remove(nullptr), kBad);
  EXPECT_EQ(lightning_client_isolation(nullptr), LIGHTNING_ISOLATION_AUTO);
  EXPECT_EQ(lightning_client_path(nullptr), nullptr);
  EXPECT_EQ(lightning_put(nullptr, "k", 1, "v", 1, nullptr, 0, 0, nullptr), kBad);
  EXPECT_EQ(lightning_put(client_, nullptr, 1, "v", 1, nullptr, 0, 0, nullptr), kBad);
  EXPECT_EQ(lightning_put(client_, "k", 1, nullptr, 1, nullptr, 0, 0, nullptr), kBad);
  EXPECT_EQ(lightning_put(client_, "k", 1, "v", 1, nullptr, 1, 0, nullptr), kBad);
  EXPECT_EQ(lightning_replace(nullptr, "k", 1, "v", 1, nullptr, 0, 1, 0, nullptr), kBad);
  EXPECT_EQ(lightning_replace(client_, nullptr, 1, "v", 1, nullptr, 0, 1, 0, nullptr), kBad);
  EXPECT_EQ(lightning_replace(client_, "k", 1, nullptr, 1, nullptr, 0, 1, 0, nullptr), kBad);
  EXPECT_EQ(lightning_put_batch(nullptr, nullptr, 0, 0, nullptr), kBad);
  EXPECT_EQ(lightning_put_batch(client_, nullptr, 1, 0, nullptr), kBad);
  EXPECT_EQ(lightning_get(nullptr, "k", 1, 0, &object), kBad);
  EXPECT_EQ(lightning_get(client_, nullptr, 1, 0, &object), kBad);
  EXPECT_EQ(lightning_get(client_, "k", 1, 0, nullptr), kBad);
  EXPECT_EQ(lightning_release(nullptr), kBad);
  EXPECT_EQ(lightning_object_data(nullptr), nullptr);
  EXPECT_EQ(lightning_object_size(nullptr), 0u);
  EXPECT_EQ(lightning_object_metadata(nullptr), nullptr);
  EXPECT_EQ(lightning_object_metadata_size(nullptr), 0u);
  EXPECT_EQ(lightning_object_version(nullptr), 0u);
  EXPECT_EQ(lightning_create(nullptr, "k", 1, 1, nullptr, 0, 0, &writer), kBad);
  EXPECT_EQ(lightning_create(client_, nullptr, 1, 1, nullptr, 0, 0, &writer), kBad);
  EXPECT_EQ(lightning_create(client_, "k", 1, 1, nullptr, 1, 0, &writer), kBad);
  EXPECT_EQ(lightning_create(client_, "k", 1, 1, nullptr, 0, 0, nullptr), kBad);
  EXPECT_EQ(lightning_writer_data(nullptr), nullptr);
  EXPECT_EQ(lightning_writer_size(nullptr), 0u);
  EXPECT_EQ(lightning_seal(nullptr, nullptr), kBad);
  EXPECT_EQ(lightning_abort(nullptr), kBad);
  EXPECT_EQ(lightning_delete(nullptr, "k", 1, 0), kBad);
  EXPECT_EQ(lightning_delete(client_, nullptr, 1, 0), kBad);
  EXPECT_EQ(lightning_contains(nullptr, "k", 1, &found), kBad);
  EXPECT_EQ(lightning_contains(client_, nullptr, 1, &found), kBad);
  EXPECT_EQ(lightning_contains(client_, "k", 1, nullptr), kBad);
  EXPECT_EQ(lightning_list(nullptr, nullptr, 0, list, nullptr), kBad);
  EXPECT_EQ(lightning_list(client_, nullptr, 1, list, nullptr), kBad);
  EXPECT_EQ(lightning_list(client_, nullptr, 0, nullptr, nullptr), kBad);
  EXPECT_EQ(lightning_evict(nullptr, 1, nullptr), kBad);
  EXPECT_EQ(lightning_stats(nullptr, nullptr), kBad);
  EXPECT_EQ(lightning_stats(client_, nullptr), kBad);
  EXPECT_EQ(lightning_check(nullptr, nullptr, nullptr, &check), kBad);
  EXPECT_EQ(lightning_check(client_, nullptr, nullptr, nullptr), kBad);
  EXPECT_EQ(lightning_check_file(nullptr, nullptr, nullptr, &check), kBad);
  EXPECT_EQ(lightning_check_file(name_.c_str(), nullptr, nullptr, nullptr), kBad);
  EXPECT_EQ(lightning_recover(nullptr, nullptr), kBad);
  EXPECT_EQ(lightning_subscribe(nullptr, &subscription), kBad);
  EXPECT_EQ(lightning_subscribe(client_, nullptr), kBad);
  EXPECT_EQ(lightning_next_event(nullptr, 1, &event), kBad);
  EXPECT_EQ(lightning_events_lost(nullptr), 0u);
  EXPECT_EQ(lightning_unsubscribe(nullptr), kBad);
  EXPECT_EQ(Get("k"), "NOT_FOUND") << "a refused call changed the store";
}

TEST(CApiCodes, HaveTheNamesOfCpp) {
  for (int32_t i = -1; i <= LIGHTNING_ISOLATION_BROKEN + 1; ++i) {
    EXPECT_STREQ(lightning_code_name(i), CodeName(static_cast<Code>(i)));
    EXPECT_STREQ(lightning_code_message(i), CodeMessage(static_cast<Code>(i)));
  }
}

}  // namespace
}  // namespace lightning
