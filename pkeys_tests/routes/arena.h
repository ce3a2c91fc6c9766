// The child's side of a row: a process with clients, objects and windows, in which the act happens.
#pragma once

#include <unistd.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "lightning/client.h"
#include "pkeys_tests/routes/guard.h"
#include "pkeys_tests/routes/judge.h"
#include "pkeys_tests/routes/matrix.h"
#include "store/client/core.h"
#include "store/gate/gate.h"

namespace lightning::routes {

inline constexpr uint64_t kStray = 0x5A5A5A5A5A5A5A5A;

class ThreadOnCommand;

class Arena {
 public:
  // `extra`: what the clients get on top, by the row.
  Arena(const Row& row, const std::string& path, Weakness weakness, Report& report, int socket, Extra extra);
  ~Arena();

  // Runs control, attack or both.
  void Run(bool control, bool attack);

  const Row& row() const { return row_; }
  // What the clients got on top; a control goes without.
  Extra extra() const { return extra_; }
  bool controlling() const { return !report_.controlled; }
  const std::string& path() const { return path_; }
  Isolation mode() const { return row_.mode; }
  Gate& gate() { return ClientCore::Of(*client_)->gate(); }
  const Segment& segment() { return ClientCore::Of(*client_)->environment().segment; }
  const Geometry& geometry() { return segment().geometry(); }
  const Slot& slot() { return segment().slot(ClientCore::Of(*client_)->environment().self); }
  // The writable mapping of the whole file, and its key (0 outside mode keys).
  std::byte* control() const { return control_; }
  int key() const { return key_; }
  uint64_t size() const { return size_; }
  const Handle& sealed() const { return *sealed_; }
  Writer& others_writer() { return *writer_; }
  // Offset in the file of the other client's unsealed object.
  uint64_t unsealed_offset();
  // What the segment holds where `at`, in the control mapping, is.
  std::byte Peek(const std::byte* at) { return gate().view()[at - control_]; }
  uint64_t PeekWord(const std::byte* at);

  // Calls `body` with a window open that covers [at, at + size). Where none may be opened (in a handler that
  // interrupted one, in a child), the rights are taken by force.
  void WithRights(std::byte* at, size_t size, const std::function<void()>& body);
  // An open window that covers the row's target: for contexts that do without its end.
  void Cover(Window& window);
  // This thread's rights to the key: 0 all, 1 none, 2 read, 3 none.
  uint32_t Rights() const;
  void SetRights(uint32_t rights);

  void Put(Bytes value);
  // Uses the store and has the judge look anew, as part of a context.
  void Use(bool well);
  // Runs on a thread that is older than the key.
  void OnOlderThread(const std::function<void()>& body);

  // --- what contexts and acts say.
  // The act comes next, at this address.
  void Begin(const std::byte* at);
  // The mapping of the whole file that the act aims at is no longer control(), but here.
  void Redirect(std::byte* to) { moved_ = to - control_; }
  // Another program is to make the store: whether it should, and how it ended.
  bool silent() const { return weakness_ == Weakness::kSilentAct && !controlling(); }
  void StoredElsewhere(int exit_status);
  // The kernel refused (or did not): `result` as a system call's, with errno.
  void Refused(long result);
  // The helper that the act made died, by this wait status.
  void HelperEnded(int status);
  // The kernel has shown that it took the request, wherever it then writes.
  void Taken(bool taken);
  // This machine lacks something: ends the row.
  [[noreturn]] void Skip(const char* fact);
  // What has changed so far belongs to the preparations: the judge looks anew.
  void Settle() { judge_.Snapshot(); }
  // A second process writes a word into the file, and looks at the whole file anew.
  void Poke(const std::byte* at, uint64_t value);

 private:
  Result<Client> Connect();
  Result<Client> TryConnect();
  void ConnectBoth();
  void FindControl();
  void Weaken();
  void AskForExtra();
  void NoteBreaches(char (&kinds)[100]);
  void Unprotect(const std::byte* at, size_t size);
  void Detect();
  void Attack();
  void Control();
  std::byte* Aligned(std::byte* at) const;

  const Row& row_;
  const std::string path_;
  const Weakness weakness_;
  const Extra extra_;
  Report& report_;
  JudgeLine judge_;
  std::unique_ptr<ThreadOnCommand> older_;
  std::unique_ptr<Client> client_, other_;
  std::optional<Handle> sealed_;
  std::optional<Writer> writer_;
  std::byte* control_ = nullptr;
  int key_ = 0;
  uint64_t size_ = 0;
  std::ptrdiff_t moved_ = 0;
  bool within_rights_ = false;
};

// What a program does that a row has started: stores at an address that means nothing to it, or, where that is 0, at an
// offset of the file. The exit status tells StoredElsewhere what became of it.
int StoreAfterExec(uint64_t address, const std::string& path, uint64_t offset);

}  // namespace lightning::routes
