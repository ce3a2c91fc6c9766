// The object store: open a segment, connect a client, put and get objects.
//
//   auto store = lightning::Store::Open("demo");            // /dev/shm/demo, created when absent
//   auto client = store->Connect();
//   client->Put("answer", "42");
//   auto handle = client->Get("answer");                    // zero-copy; pins until it is destroyed
//
// Threads: a Client may be used from several threads. Gets run in parallel; operations that change the store take
// turns (one undo log a client), so threads that write a lot should have a Client each. A Handle, Writer or
// Subscription may be used by one thread at a time and may be destroyed by any thread.
// Processes: after fork the child gets kForked from every call until it connects a Client of its own; handles of the
// parent can be read in the child for as long as the parent holds them.
// Signals: no call is async-signal-safe. Reading a Handle's bytes is.
// Deadlines: `timeout` is how long a call may wait for a living peer; zero means Options::lock_timeout, except in Get,
// where it means not to wait for an absent key; nanoseconds::max() waits for ever.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lightning/options.h"
#include "lightning/status.h"

namespace lightning {

class ClientCore;
class Client;

using Bytes = std::span<const std::byte>;
inline Bytes AsBytes(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }

// A pinned sealed object. The bytes stay readable and unchanged for as long as the Handle lives, whatever others
// delete, replace or evict, and after the Client object is gone. Movable, not copyable.
class Handle {
 public:
  Handle() = default;
  Handle(Handle&& other) noexcept
      : core_(std::exchange(other.core_, nullptr)),
        data_(other.data_),
        size_(other.size_),
        version_(other.version_),
        metadata_(other.metadata_),
        metadata_size_(other.metadata_size_),
        pin_(other.pin_) {}
  Handle& operator=(Handle&& other) noexcept;
  ~Handle() {
    if (core_ != nullptr) Release();
  }

  explicit operator bool() const { return core_ != nullptr; }
  const std::byte* data() const { return data_; }  // 64-byte aligned
  size_t size() const { return size_; }
  Bytes bytes() const { return {data_, size_}; }
  std::string_view view() const { return {reinterpret_cast<const char*>(data_), size_}; }
  Bytes metadata() const { return {metadata_, metadata_size_}; }
  uint64_t version() const { return version_; }
  // Unpins now rather than at destruction.
  void Release();

 private:
  friend class ClientCore;
  ClientCore* core_ = nullptr;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  uint64_t version_ = 0;
  const std::byte* metadata_ = nullptr;
  uint32_t metadata_size_ = 0;
  uint32_t pin_ = 0;
};

// An object between Create and Seal. Destroying it unsealed aborts it.
class Writer {
 public:
  Writer() = default;
  Writer(Writer&& other) noexcept;
  Writer& operator=(Writer&& other) noexcept;
  ~Writer();

  // Memory for the value; this client alone can write it, and nobody can read the object yet. Empty after Seal/Abort.
  std::span<std::byte> Writable() const { return writable_; }
  // Makes the object visible and takes the write permission away first. Returns its version.
  Result<uint64_t> Seal();
  Status Abort();

 private:
  friend class ClientCore;
  ClientCore* core_ = nullptr;
  uint32_t object_ = 0;
  bool exposed_ = false;  // writable_ is a mapping of the segment rather than a private buffer
  std::span<std::byte> writable_;
};

enum class EventKind : uint8_t { kSealed = 1, kDeleted = 2, kEvicted = 3 };
const char* EventKindName(EventKind kind);

struct Event {
  uint64_t sequence = 0;  // consecutive for one segment
  EventKind kind = EventKind::kSealed;
  std::string key;
  uint64_t version = 0;
  uint64_t size = 0;
};

// Events from the moment of Subscribe on, in the order of the changes. Must not outlive its Client.
class Subscription {
 public:
  Subscription() = default;
  Subscription(Subscription&& other) noexcept;
  Subscription& operator=(Subscription&& other) noexcept;
  ~Subscription();

  // The next event. kTimeout when none came; kFellBehind once when events were overwritten before they were read:
  // `lost()` counts them, and the next call goes on with the oldest that is left.
  Result<Event> Next(std::chrono::nanoseconds timeout);
  uint64_t lost() const { return lost_; }

 private:
  friend class ClientCore;
  ClientCore* core_ = nullptr;
  uint64_t next_ = 0;
  uint64_t lost_ = 0;
};

struct ObjectInfo {
  std::string key;
  uint64_t version = 0;
  uint64_t size = 0;
  uint32_t metadata_size = 0;
};

struct PutOptions {
  Bytes metadata;
  std::chrono::nanoseconds timeout{0};
};

struct BatchItem {
  std::string_view key;
  Bytes value;
  Bytes metadata;
};

class Client {
 public:
  Client(Client&& other) noexcept;
  Client& operator=(Client&& other) noexcept;
  ~Client();  // Close

  // Inserts or replaces. Readers and a death in between see the old value or the new one. Returns the new version.
  Result<uint64_t> Put(std::string_view key, Bytes value, const PutOptions& options = {});
  Result<uint64_t> Put(std::string_view key, std::string_view value, const PutOptions& options = {}) {
    return Put(key, AsBytes(value), options);
  }
  // Replaces if the object's version is still `version`; else kVersionMismatch, or kNotFound.
  Result<uint64_t> Replace(std::string_view key, Bytes value, uint64_t version, const PutOptions& options = {});
  // Puts up to kMaxBatchSize different keys; a death in between leaves all of them or none.
  Result<std::vector<uint64_t>> PutBatch(std::span<const BatchItem> items, std::chrono::nanoseconds timeout = {});

  // Reserves `key` and hands out memory for `size` bytes. kAlreadyExists when sealed, kBeingCreated when reserved.
  Result<Writer> Create(std::string_view key, uint64_t size, const PutOptions& options = {});

  // Pins the object under `key`. With a timeout, waits for the key to be sealed; kTimeout when it was not.
  Result<Handle> Get(std::string_view key, std::chrono::nanoseconds timeout = {});
  // One result for each key, in order; each key waits until the common deadline.
  std::vector<Result<Handle>> GetBatch(std::span<const std::string_view> keys, std::chrono::nanoseconds timeout = {});
  Result<bool> Contains(std::string_view key);

  // Takes effect at once for lookups; the memory comes back when no handle pins it.
  Status Delete(std::string_view key, std::chrono::nanoseconds timeout = {});

  // Sealed objects whose key starts with `prefix`, sorted by key.
  Result<std::vector<ObjectInfo>> List(std::string_view prefix = {});
  // Evicts least recently used objects until at least `bytes` are freed or none is left that is sealed and unpinned.
  // Returns the bytes freed. Exact up to 65,536 objects; beyond, the oldest of a moving window of that many.
  Result<uint64_t> Evict(uint64_t bytes);

  Result<Stats> GetStats();
  // All invariants of the segment, read-only.
  CheckReport Check();
  // Heals whatever dead clients left, and gives back what no reader pins any more.
  Result<RecoveryReport> Recover();
  Result<Subscription> Subscribe();

  // The mode in force, never kAuto.
  Isolation isolation() const;
  const std::string& path() const;
  // Detaches once the last handle, writer and subscription is gone; every later call returns kClosed.
  void Close();

 private:
  friend class Store;
  friend class ClientCore;
  explicit Client(ClientCore* core) : core_(core) {}
  ClientCore* core_ = nullptr;
};

// A segment by name. Holds no resources: the mappings belong to the clients.
class Store {
 public:
  // `name`: a path if it contains a slash, else a file under /dev/shm. Creates the segment when absent (see
  // OpenMode); racing creators end up in one segment. Mode 0600.
  static Result<Store> Open(std::string_view name, const Options& options = {});
  // Unlinks the name. Attached clients go on with the segment they have.
  static Status Remove(std::string_view name);
  // Checks a file that may be anything at all, read-only, without attaching.
  static CheckReport Check(std::string_view name);

  // Attaches a client in this process.
  Result<Client> Connect() const;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  Options options_;
};

}  // namespace lightning
