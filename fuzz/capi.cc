// capi: a sequence of calls of the C API on handles in every state that its header allows: NULL, used up, left over
// from a client that was closed, of another client. Codes are the documented ones, out parameters are as the header
// says, and once all handles are gone the segment is sound and nobody is attached.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>
#include <utility>

#include "fuzz/capi_child.h"
#include "fuzz/support.h"
#include "lightning/c.h"

namespace lightning::fuzz {
namespace {

constexpr RecordForm kForm{.header = 2, .record = 4, .least = 4, .most = 48};
constexpr size_t kSlots = 3;

class Calls {
 public:
  Calls(const std::string& name, uint8_t isolation, uint8_t kind) : name_(name), forks_(kind == 0xC4) {
    Expect(lightning_options_init(&options_), {LIGHTNING_OK});
    options_.size = 1 << 20;
    options_.max_objects = kind == 0xC5 ? 20 : 8;  // so many that a bucket can have a chain
    options_.max_clients = 3;
    options_.max_pins = 4;
    options_.event_slots = 4;
    options_.hash_seed = 1;
    options_.lock_timeout_ns = 1'000'000;
    // The second is keys where there are any, and mprotect elsewhere.
    constexpr std::array<lightning_isolation, 4> kModes = {LIGHTNING_ISOLATION_NONE, LIGHTNING_ISOLATION_AUTO,
                                                           LIGHTNING_ISOLATION_HIDDEN, LIGHTNING_ISOLATION_MPROTECT};
    options_.isolation = isolation >= 128 && isolation % 3 == 1 ? kModes[3] : kModes[isolation % 3];
    for (size_t i = 0; i < value_.size(); ++i) value_[i] = static_cast<char>('A' + i % 26);
  }

  void One(ByteStream& in) {
    const uint8_t call = in.Byte();
    which_ = in.Byte();
    amount_ = in.Byte();
    flags_ = in.Byte();
    static constexpr void (Calls::*kCalls[])() = {
        &Calls::Put,     &Calls::Get,       &Calls::Delete, &Calls::Open,        &Calls::Close,   &Calls::Create,
        &Calls::Seal,    &Calls::Abort,     &Calls::Look,   &Calls::Write,       &Calls::Release, &Calls::Replace,
        &Calls::Batch,   &Calls::Contains,  &Calls::List,   &Calls::Evict,       &Calls::Stats,   &Calls::Check,
        &Calls::Recover, &Calls::Subscribe, &Calls::Next,   &Calls::Unsubscribe, &Calls::Options, &Calls::Texts};
    if (call >= 240 && forks_) return TryInAChild(name_, options_, amount_, which_);
    if (call >= 240) return Audit();
    (this->*kCalls[call % std::size(kCalls)])();
  }

  void End() {
    for (auto& subscription : subscriptions_) lightning_unsubscribe(Taken(subscription));
    for (auto& client : clients_) ExpectOf(client, lightning_close(client), {LIGHTNING_OK}), client = nullptr;
    for (auto& writer : writers_) lightning_abort(Taken(writer));
    for (auto& object : objects_) lightning_release(Taken(object));
    CheckFile();
    if (opened_) ComeAlone();
    lightning_remove(name_.c_str());
  }

 private:
  // Whoever comes when all have left is the only one.
  void ComeAlone() {
    lightning_client* last = nullptr;
    const lightning_code code = lightning_open(name_.c_str(), &options_, &last);
    Expect(code, {LIGHTNING_OK, LIGHTNING_UNSUPPORTED});  // another mode may have opened it where this one is missing
    if (code != LIGHTNING_OK) return;
    lightning_stats_result stats{};
    Expect(lightning_stats(last, &stats), {LIGHTNING_OK});
    Require(stats.clients == 1, "somebody is still attached when all have left");
    Expect(lightning_close(last), {LIGHTNING_OK});
    CheckFile();
  }
  void CheckFile() {
    lightning_check_result result{};
    const lightning_code code = lightning_check_file(name_.c_str(), Violation, &violation_, &result);
    Require(code == LIGHTNING_OK && !result.busy, "the segment cannot be checked when all have left");
    if (!result.ok && opened_) Fail("when all have left, the segment is not sound: " + violation_);
  }
  template <typename T>
  static T* Taken(T*& handle) {
    return std::exchange(handle, nullptr);
  }
  static void Violation(const char* violation, void* context) { *static_cast<std::string*>(context) = violation; }
  static int OneListed(const lightning_object_info* info, void* context) {
    Require(info->key != nullptr && info->key_size > 0, "a listed object has no key");
    return --*static_cast<int*>(context) <= 0;
  }

  // Any code is allowed that the list names; nothing at all with a NULL where something is needed.
  static void Expect(lightning_code code, std::initializer_list<lightning_code> allowed) {
    for (const lightning_code each : allowed) {
      if (code == each) return;
    }
    Fail(std::string("a call gave ") + lightning_code_name(code) + ": " + lightning_last_error());
  }
  static void ExpectOf(const void* handle, lightning_code code, std::initializer_list<lightning_code> allowed) {
    if (handle == nullptr) return Expect(code, {LIGHTNING_INVALID_ARGUMENT});
    Expect(code, allowed);
  }

  lightning_client*& client() { return clients_[which_ % kSlots]; }
  lightning_object*& object() { return objects_[which_ / 4 % kSlots]; }
  lightning_writer*& writer() { return writers_[which_ / 4 % kSlots]; }
  lightning_subscription*& subscription() { return subscriptions_[which_ % kSlots]; }
  const char* key() const { return &value_[which_ / 16 % 8]; }
  size_t key_size() const { return (flags_ & 0x80) == 0 ? 1 + which_ / 128U : amount_ * 8U; }
  bool key_fits() const { return key_size() >= 1 && key_size() <= 1024; }
  size_t value_size() const { return amount_ * 16U; }
  const char* value() const { return (flags_ & 0x40) != 0 && value_size() == 0 ? nullptr : value_.data(); }

  void Open() {
    lightning_client* fresh = nullptr;
    const char* const name = (flags_ & 15) == 15 ? nullptr : name_.c_str();
    const lightning_code code = lightning_open(name, &options_, &fresh);
    Require((code == LIGHTNING_OK) == (fresh != nullptr), "open gave a code and a client that do not fit");
    if (name == nullptr) return Expect(code, {LIGHTNING_INVALID_ARGUMENT});
    Expect(code, {LIGHTNING_OK, LIGHTNING_TOO_MANY_CLIENTS, LIGHTNING_UNSUPPORTED, LIGHTNING_TIMEOUT});
    if (fresh == nullptr) return;
    opened_ = true;
    if (client() != nullptr) Close();
    client() = fresh;
    Require(lightning_client_isolation(fresh) != LIGHTNING_ISOLATION_AUTO, "a client is isolated by nothing certain");
    Require(std::string(lightning_client_path(fresh)) == name_, "a client has another path");
  }
  void Close() {
    // Subscriptions must be freed first.
    for (size_t i = 0; i < kSlots; ++i) {
      if (subscribed_to_[i] == client() && subscriptions_[i] != nullptr)
        lightning_unsubscribe(Taken(subscriptions_[i]));
    }
    ExpectOf(client(), lightning_close(client()), {LIGHTNING_OK}), client() = nullptr;
  }
  void Put() {
    uint64_t version = 7;
    const lightning_code code = lightning_put(client(), key(), key_size(), value(), value_size(), value_.data(),
                                              flags_ & 31U, 0, (flags_ & 32) != 0 ? nullptr : &version);
    ExpectOf(client(), code,
             {LIGHTNING_OK, LIGHTNING_SEGMENT_FULL, LIGHTNING_TOO_MANY_OBJECTS, LIGHTNING_BEING_CREATED,
              LIGHTNING_INVALID_KEY, LIGHTNING_TIMEOUT});
    Require(code == LIGHTNING_OK || version == 7, "a call that failed changed its out parameter");
    if (client() != nullptr && !key_fits()) Expect(code, {LIGHTNING_INVALID_KEY});
  }
  void Replace() {
    ExpectOf(client(),
             lightning_replace(client(), key(), key_size(), value(), value_size(), nullptr, 0, amount_, 0, nullptr),
             {LIGHTNING_OK, LIGHTNING_NOT_FOUND, LIGHTNING_VERSION_MISMATCH, LIGHTNING_SEGMENT_FULL,
              LIGHTNING_TOO_MANY_OBJECTS, LIGHTNING_BEING_CREATED, LIGHTNING_INVALID_KEY, LIGHTNING_TIMEOUT});
    Expect(lightning_replace(client(), nullptr, 1, nullptr, 0, nullptr, 0, 0, 0, nullptr),
           {LIGHTNING_INVALID_ARGUMENT});
  }
  void Batch() {
    std::array<lightning_batch_item, 4> items{};
    for (size_t i = 0; i < items.size(); ++i)
      items[i] = {&value_[(which_ + i) % 26], 1, value_.data(), value_size(), nullptr, 0};
    const bool none = (flags_ & 15) == 15;
    const size_t count = flags_ % 5U;
    const lightning_code code = lightning_put_batch(client(), none ? nullptr : items.data(), count, 0, nullptr);
    if (none && count != 0) return Expect(code, {LIGHTNING_INVALID_ARGUMENT});
    ExpectOf(
        client(), code,
        {LIGHTNING_OK, LIGHTNING_SEGMENT_FULL, LIGHTNING_TOO_MANY_OBJECTS, LIGHTNING_BEING_CREATED, LIGHTNING_TIMEOUT});
  }
  void Get() {
    lightning_object* fresh = object();
    const lightning_code code = lightning_get(client(), key(), key_size(), (flags_ & 1) != 0 ? 1000 : 0, &fresh);
    ExpectOf(client(), code,
             {LIGHTNING_OK, LIGHTNING_NOT_FOUND, LIGHTNING_TOO_MANY_PINS, LIGHTNING_INVALID_KEY, LIGHTNING_TIMEOUT});
    Require((code == LIGHTNING_OK) == (fresh != nullptr), "get gave a code and an object that do not fit");
    if (fresh == nullptr) return;
    lightning_release(Taken(object()));
    object() = fresh;
  }
  void Look() {
    const lightning_object* const it = object();
    const auto* const bytes = static_cast<const char*>(lightning_object_data(it));
    const size_t size = lightning_object_size(it);
    Require(it != nullptr || (bytes == nullptr && size == 0), "an accessor gave something for NULL");
    for (size_t i = 0; i < size; ++i) Require(bytes[i] >= 'A' && bytes[i] <= 'Z', "a value has bytes that nobody put");
    const auto* const metadata = static_cast<const char*>(lightning_object_metadata(it));
    for (size_t i = 0; i < lightning_object_metadata_size(it); ++i)
      Require(metadata[i] >= 'A' && metadata[i] <= 'Z', "metadata has bytes that nobody put");
    Require((it == nullptr) == (lightning_object_version(it) == 0), "an object has no version");
  }
  void Release() { ExpectOf(object(), lightning_release(object()), {LIGHTNING_OK}), object() = nullptr; }
  void Create() {
    lightning_writer* fresh = nullptr;
    const uint64_t size = (flags_ & 15) == 15 ? ~uint64_t{0} - amount_ : amount_ * ((flags_ & 16) != 0 ? 1024U : 8U);
    const lightning_code code =
        lightning_create(client(), key(), key_size(), size, value_.data(), flags_ / 32U, 0, &fresh);
    ExpectOf(client(), code,
             {LIGHTNING_OK, LIGHTNING_ALREADY_EXISTS, LIGHTNING_BEING_CREATED, LIGHTNING_SEGMENT_FULL,
              LIGHTNING_TOO_MANY_OBJECTS, LIGHTNING_VALUE_TOO_LARGE, LIGHTNING_INVALID_KEY, LIGHTNING_TIMEOUT});
    Require((code == LIGHTNING_OK) == (fresh != nullptr), "create gave a code and a writer that do not fit");
    if (fresh == nullptr) return;
    // Nobody can put below it: fill it at once.
    auto* const bytes = static_cast<char*>(lightning_writer_data(fresh));
    Require(lightning_writer_size(fresh) == size, "a writer has another size");
    for (uint64_t i = 0; i < size; ++i) bytes[i] = 'W';
    lightning_abort(Taken(writer()));
    writer() = fresh;
  }
  void Write() {
    auto* const bytes = static_cast<char*>(lightning_writer_data(writer()));
    const size_t size = lightning_writer_size(writer());
    Require(writer() != nullptr || (bytes == nullptr && size == 0), "an accessor gave something for NULL");
    if (size != 0) bytes[amount_ % size] = 'X';
  }
  void Seal() {
    const lightning_code code = lightning_seal(writer(), nullptr);
    ExpectOf(writer(), code, {LIGHTNING_OK, LIGHTNING_TIMEOUT});
    if (code == LIGHTNING_OK) writer() = nullptr;
  }
  void Abort() { ExpectOf(writer(), lightning_abort(writer()), {LIGHTNING_OK, LIGHTNING_TIMEOUT}), writer() = nullptr; }
  void Delete() {
    ExpectOf(client(), lightning_delete(client(), key(), key_size(), 0),
             {LIGHTNING_OK, LIGHTNING_NOT_FOUND, LIGHTNING_BEING_CREATED, LIGHTNING_INVALID_KEY, LIGHTNING_TIMEOUT});
  }
  void Contains() {
    bool found = false;
    ExpectOf(client(), lightning_contains(client(), key(), key_size(), &found), {LIGHTNING_OK, LIGHTNING_INVALID_KEY});
    Expect(lightning_contains(client(), key(), key_size(), nullptr), {LIGHTNING_INVALID_ARGUMENT});
  }
  void List() {
    int left = 1 + amount_ % 8;
    const bool none = (flags_ & 15) == 15;
    const lightning_code code = lightning_list(client(), key(), key_size() % 2, none ? nullptr : OneListed, &left);
    if (none) return Expect(code, {LIGHTNING_INVALID_ARGUMENT});
    ExpectOf(client(), code, {LIGHTNING_OK, LIGHTNING_TIMEOUT});
  }
  void Evict() {
    ExpectOf(client(), lightning_evict(client(), amount_ * 64U, nullptr), {LIGHTNING_OK, LIGHTNING_TIMEOUT});
  }
  void Stats() {
    lightning_stats_result stats{};
    ExpectOf(client(), lightning_stats(client(), &stats), {LIGHTNING_OK, LIGHTNING_TIMEOUT});
    Require(stats.objects <= stats.objects_max && stats.bytes_used <= stats.bytes_total, "statistics make no sense");
    Expect(lightning_stats(client(), nullptr), {LIGHTNING_INVALID_ARGUMENT});
  }
  void Check() {
    lightning_check_result result{};
    ExpectOf(client(), lightning_check(client(), Violation, &violation_, &result), {LIGHTNING_OK});
    if (client() != nullptr && !result.ok) Fail("between two calls, the segment is not sound: " + violation_);
  }
  void Recover() { ExpectOf(client(), lightning_recover(client(), nullptr), {LIGHTNING_OK, LIGHTNING_TIMEOUT}); }
  void Subscribe() {
    lightning_subscription* fresh = nullptr;
    const lightning_code code = lightning_subscribe(client(), &fresh);
    ExpectOf(client(), code, {LIGHTNING_OK, LIGHTNING_TIMEOUT});
    if (fresh == nullptr) return;
    lightning_unsubscribe(Taken(subscription()));
    subscription() = fresh;
    subscribed_to_[which_ % kSlots] = client();
  }
  void Next() {
    lightning_event event{};
    // Not zero, which stands for the client's own patience.
    const lightning_code code = lightning_next_event(subscription(), 1, &event);
    ExpectOf(subscription(), code, {LIGHTNING_OK, LIGHTNING_TIMEOUT, LIGHTNING_FELL_BEHIND});
    if (code == LIGHTNING_OK) Require(event.key != nullptr && event.key_size > 0, "an event has no key");
    static_cast<void>(lightning_events_lost(subscription()));
  }
  void Unsubscribe() {
    ExpectOf(subscription(), lightning_unsubscribe(subscription()), {LIGHTNING_OK, LIGHTNING_TIMEOUT});
    subscription() = nullptr;
  }
  void Options() {
    lightning_options odd = options_;
    if ((flags_ & 1) != 0) odd.struct_size = amount_;
    if ((flags_ & 2) != 0) odd.isolation = amount_ - 100;
    if ((flags_ & 4) != 0) odd.eviction = amount_;
    if ((flags_ & 8) != 0) odd.mode = -amount_;
    lightning_client* fresh = nullptr;
    const lightning_code code = lightning_open(name_.c_str(), &odd, &fresh);
    Require((code == LIGHTNING_OK) == (fresh != nullptr), "open gave a code and a client that do not fit");
    opened_ |= fresh != nullptr;
    lightning_close(fresh);
    Expect(lightning_options_init(nullptr), {LIGHTNING_INVALID_ARGUMENT});
  }
  void Texts() {
    const int code = amount_ - 20;
    Require(lightning_breach_name(code) != nullptr, "a breach has no name");
    Require(lightning_code_name(code) != nullptr && lightning_code_message(code) != nullptr, "a code has no text");
    Require(lightning_last_error() != nullptr, "there is no last error");
    Expect(lightning_remove(nullptr), {LIGHTNING_INVALID_ARGUMENT});
  }

  static void Told(lightning_breach breach, const char* message, void* context) {
    Require(lightning_breach_name(breach) != nullptr && *message != 0, "a breach without a name or a text");
    ++*static_cast<size_t*>(context);
  }
  // Another mapping of the segment, as a program's mistake would make it, is found; without one nothing is.
  void Audit() {
    const bool plants = (flags_ & 1) != 0 && client() != nullptr &&
                        lightning_client_isolation(client()) == LIGHTNING_ISOLATION_MPROTECT;
    const int file = plants ? open(name_.c_str(), O_RDWR | O_CLOEXEC) : -1;
    void* const alias = plants ? mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) : MAP_FAILED;
    Require(!plants || alias != MAP_FAILED, "the segment cannot be mapped once more");
    size_t told = 0;
    lightning_audit_result result{};
    Expect(lightning_audit(Told, &told, &result), {LIGHTNING_OK});
    Require(told == result.findings, "the audit told of another number of findings than it has");
    Require((result.findings != 0) == plants, "the audit overlooked a mapping, or made one up");
    if (plants) {
      lightning_client* fresh = nullptr;
      Expect(lightning_on_breach(Told, &told), {LIGHTNING_OK});
      Expect(lightning_open(name_.c_str(), &options_, &fresh),
             {LIGHTNING_ISOLATION_BROKEN, LIGHTNING_TOO_MANY_CLIENTS, LIGHTNING_TIMEOUT});
      Require(fresh == nullptr, "a client attached in spite of the breach");
      Expect(lightning_on_breach(nullptr, nullptr), {LIGHTNING_OK});
      munmap(alias, 1 << 20);
      close(file);
    }
    Expect(lightning_audit(nullptr, nullptr, nullptr), {LIGHTNING_INVALID_ARGUMENT});
  }

  const std::string name_;
  const bool forks_;
  lightning_options options_{};
  std::array<char, 8192> value_{};
  std::array<lightning_client*, kSlots> clients_{};
  std::array<lightning_object*, kSlots> objects_{};
  std::array<lightning_writer*, kSlots> writers_{};
  std::array<lightning_subscription*, kSlots> subscriptions_{};
  std::array<lightning_client*, kSlots> subscribed_to_{};
  bool opened_ = false;
  uint8_t which_ = 0, amount_ = 0, flags_ = 0;
  std::string violation_;
};

}  // namespace
}  // namespace lightning::fuzz

LIGHTNING_FUZZ(capi) {
  using namespace lightning::fuzz;
  static const std::string name = "/dev/shm/lightning-fuzz-capi." + std::to_string(getpid());
  static const bool removed_at_exit = std::atexit([] { unlink(name.c_str()); }) == 0;
  static_cast<void>(removed_at_exit);
  ByteStream in(data, size);
  const uint8_t isolation = in.Byte();
  // Few inputs have children, since one takes as long as many calls.
  const uint8_t kind = in.Byte();
  Calls calls(name, isolation, kind);
  lightning_remove(name.c_str());
  uint64_t done = 0;
  for (; in.left() >= kForm.record && done < kForm.most; ++done) calls.One(in);
  calls.End();
  CountOperations(done);
  return 0;
}
LIGHTNING_FUZZ_RECORDS(lightning::fuzz::kForm)
