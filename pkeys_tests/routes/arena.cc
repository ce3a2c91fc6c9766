#include "pkeys_tests/routes/arena.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "lightning/isolation.h"
#include "pkeys_tests/routes/thread_on_command.h"
#include "store/gate/pkru.h"
#include "store/gate/process_key.h"
#include "store/segment/segment_file.h"

namespace lightning::routes {

Arena::Arena(const Row& row, const std::string& path, Weakness weakness, Report& report, int socket, Extra extra)
    : row_(row), path_(path), weakness_(weakness), extra_(extra), report_(report), judge_(socket) {
  if (row.mode == Isolation::kKeys && !MachineHasKeys()) Skip("no protection keys in this machine");
  for (const auto missing : {row.act->missing, row.setting->missing}) {
    if (missing == nullptr) continue;
    if (const char* fact = missing()) Skip(fact);
  }
  // Before the first client, so before the key.
  if (row.setting->needs_older_thread) older_ = std::make_unique<ThreadOnCommand>();
  ConnectBoth();
  CatchFaults();
  AskForExtra();
}

Arena::~Arena() = default;

Result<Client> Arena::TryConnect() {
  Options options;
  options.mode = OpenMode::kOpen;
  options.isolation = row_.mode;
  options.seal = extra_ == Extra::kSealed;
  const Result<Store> store = Store::Open(path_, options);
  LIGHTNING_ASSERT(store.ok());
  return store->Connect();
}

Result<Client> Arena::Connect() {
  Result<Client> client = TryConnect();
  if (client.code() == Code::kUnsupported && extra_ == Extra::kSealed) Skip("the kernel has no mseal (Linux 6.10)");
  LIGHTNING_ASSERT(client.ok());
  return client;
}

void Arena::ConnectBoth() {
  client_ = std::make_unique<Client>(std::move(*Connect()));
  LIGHTNING_ASSERT(client_->Put("sealed", std::string(4096, 's')).ok());
  Result<Handle> handle = client_->Get("sealed");
  LIGHTNING_ASSERT(handle.ok());
  sealed_ = std::move(*handle);
  FindControl();
  // Afterwards, so that the first client's mapping is the only one so far.
  other_ = std::make_unique<Client>(std::move(*Connect()));
  Result<Writer> writer = other_->Create("unsealed", 64 * 1024);
  LIGHTNING_ASSERT(writer.ok());
  writer_ = std::move(*writer);
}

void Arena::FindControl() {
  size_ = geometry().size;
  Gate::WithAll([&](const std::vector<Gate::Mappings>& all) {
    for (const Gate::Mappings& mappings : all) {
      if (mappings.gate != &gate()) continue;
      control_ = reinterpret_cast<std::byte*>(mappings.control.begin);
      key_ = mappings.key;
    }
  });
  LIGHTNING_ASSERT(control_ != nullptr && (mode() != Isolation::kKeys || key_ > 0));
}

// Adds the name of a kind that is not in the list yet.
static void AddKind(char (&kinds)[100], Breach breach) {
  const char* const name = BreachName(breach);
  if (strstr(kinds, name) != nullptr) return;
  const size_t length = strlen(kinds);
  snprintf(kinds + length, sizeof kinds - length, "%s%s", length == 0 ? "" : ", ", name);
}

void Arena::AskForExtra() {
  if (extra_ == Extra::kHandler) {
    SetBreachHandler({[](Breach breach, const char*, void* context) {
                        auto& report = *static_cast<Report*>(context);
                        ++report.times_told;
                        AddKind(report.told, breach);
                      },
                      &report_});
  }
  if (extra_ != Extra::kHardened) return;
  const Status status = Harden();
  if (status.code() == Code::kUnsupported) Skip(status.ToString().c_str());
  LIGHTNING_ASSERT(status.ok());
}

void Arena::NoteBreaches(char (&kinds)[100]) {
  for (const lightning::Finding& finding : Audit().findings) AddKind(kinds, finding.breach);
}

uint64_t Arena::unsealed_offset() {
  for (uint32_t i = 1; i <= geometry().objects; ++i) {
    const Object& object = segment().object(ObjectId{i});
    if (ObjectHead::Decode(object.head.Load()).state == ObjectState::kUnsealed) return object.payload.Load();
  }
  abort();
}

uint64_t Arena::PeekWord(const std::byte* at) {
  uint64_t word;
  memcpy(&word, gate().view() + (at - control_), sizeof word);
  return word;
}

std::byte* Arena::Aligned(std::byte* at) const {
  return reinterpret_cast<std::byte*>(reinterpret_cast<uint64_t>(at) & ~(row_.act->alignment - 1));
}

void Arena::WithRights(std::byte* at, size_t size, const std::function<void()>& body) {
  const bool child = !ClientCore::Of(*client_)->environment().kernel->IsSameProcess();
  if (mode() == Isolation::kKeys && (open_windows != 0 || child)) {
    const uint32_t before = Rights();
    SetRights(0);
    body();
    SetRights(before);
    return;
  }
  if (child && mode() == Isolation::kMprotect) {
    const auto page = reinterpret_cast<uint64_t>(at) & ~(kPageSize - 1);
    mprotect(reinterpret_cast<void*>(page), RoundUp(size, kPageSize) + kPageSize, PROT_READ | PROT_WRITE);
    body();
    return;
  }
  if (child) return body();           // nothing is closed
  if (within_rights_) return body();  // an act that takes rights itself, as a control
  Window window(gate());
  const auto offset = static_cast<uint64_t>(at - control_);
  window.Payload(offset, std::min<uint64_t>(size, size_ - offset));
  within_rights_ = true;
  body();
  within_rights_ = false;
}

void Arena::Cover(Window& window) {
  const auto offset = static_cast<uint64_t>(Aligned(row_.place->control(*this)) - control_);
  window.Payload(offset, std::min<uint64_t>(row_.act->size, size_ - offset));
}

uint32_t Arena::Rights() const { return pkru::Read() >> (2 * key_) & 3; }

void Arena::SetRights(uint32_t rights) {
  const uint32_t value = (pkru::Read() & ~pkru::Mask(key_)) | rights << (2 * key_);
  asm volatile("wrpkru" : : "a"(value), "c"(0), "d"(0) : "memory");
}

void Arena::Detect() {
  if (row_.detector == Detector::kNone) return;
  if (row_.detector == Detector::kAudit) return NoteBreaches(report_.found);
  judge_.Snapshot();
  report_.operating = true;
  if (row_.detector == Detector::kAttach) {
    report_.answer = TryConnect().code();
  } else {
    report_.answer = client_->Put("next", "operation").code();
  }
  judge_.CompareOperation();
}

void Arena::Put(Bytes value) { static_cast<void>(client_->Put("put", value).ok()); }

void Arena::Use(bool well) {
  if (well) LIGHTNING_ASSERT(client_->Put("used", "before").ok());
  if (!well) LIGHTNING_ASSERT(client_->Delete("absent").code() == Code::kNotFound);
  judge_.Snapshot();
}

void Arena::OnOlderThread(const std::function<void()>& body) { older_->Do(body); }

void Arena::Refused(long result) {
  const int error = result == -1 ? errno : 0;
  if (report_.controlled) {
    report_.refused = error != 0;
    report_.error = error;
  } else {
    report_.control_error = error;
  }
}

void Arena::HelperEnded(int status) {
  if (report_.controlled) report_.helper_killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

void Arena::Taken(bool taken) {
  if (report_.controlled) report_.taken = taken;
}

void Arena::Begin(const std::byte* at) {
  if (controlling()) return judge_.ControlReached();
  report_.target = reinterpret_cast<uint64_t>(at);
  report_.key = key_;
  report_.begun = true;
}

constexpr int kUnmapped = 101, kNoAccess = 102;

void Arena::StoredElsewhere(int exit_status) {
  if (controlling()) return;
  report_.attacked = true;
  if (exit_status == kUnmapped || exit_status == kNoAccess)
    report_.fault = {true, SIGSEGV, exit_status == kUnmapped ? SEGV_MAPERR : SEGV_ACCERR, -1, report_.target};
}

int StoreAfterExec(uint64_t address, const std::string& path, uint64_t offset) {
  auto* at = reinterpret_cast<volatile uint64_t*>(address);
  if (address == 0) {
    const ScopedFd fd(open(path.c_str(), O_RDWR | O_CLOEXEC));
    void* place = mmap(nullptr, offset + 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    if (place == MAP_FAILED) return 1;
    at = reinterpret_cast<volatile uint64_t*>(static_cast<std::byte*>(place) + offset);
  }
  CatchFaults();
  const Fault fault = Guarded([&] { *at = kStray; });
  if (!fault.happened) return 0;
  if (fault.signal != SIGSEGV || fault.address != address) return 1;
  return fault.code == SEGV_MAPERR ? kUnmapped : kNoAccess;
}

void Arena::Skip(const char* fact) {
  report_.skipped = true;
  snprintf(report_.fact, sizeof report_.fact, "%s", fact);
  _exit(0);
}

void Arena::Poke(const std::byte* at, uint64_t value) { judge_.Poke(static_cast<uint64_t>(at - control_), value); }

// Whatever guards these pages: no longer. Fails where nothing is mapped; rows that lead there are immune.
void Arena::Unprotect(const std::byte* at, size_t size) {
  const auto begin = reinterpret_cast<uint64_t>(at) & ~(kPageSize - 1);
  const auto end = RoundUp(reinterpret_cast<uint64_t>(at) + size, kPageSize);
  auto* const pages = reinterpret_cast<void*>(begin);
  static_cast<void>(mode() == Isolation::kKeys ? pkey_mprotect(pages, end - begin, PROT_READ | PROT_WRITE, 0)
                                               : mprotect(pages, end - begin, PROT_READ | PROT_WRITE));
}

void Arena::Weaken() {
  if (weakness_ == Weakness::kNoProtection) {
    LIGHTNING_ASSERT(madvise(control_, size_, MADV_DOFORK) == 0);
    Unprotect(control_, size_);  // whole, so that it stays one mapping
  } else if (weakness_ == Weakness::kOpenWindow) {
    auto* leaked = new Window(gate());  // never closed
    Cover(*leaked);
    if (mode() == Isolation::kKeys) open_windows = 0;  // as if its end had been skipped
  }
}

void Arena::Control() {
  std::byte* const at = Aligned(row_.place->control(*this));
  const auto act = [&] {
    Begin(at);
    report_.control_fault = Guarded([&] { row_.act->run(*this, at); });
  };
  row_.setting->run(
      *this, [&] { row_.act->own_control ? act() : WithRights(at, row_.act->size, act); }, true);
  judge_.CompareControl();
}

void Arena::Attack() {
  report_.controlled = true;
  if (row_.detector == Detector::kAudit) NoteBreaches(report_.found_before);
  Weaken();
  judge_.Snapshot();
  std::byte* const aimed = Aligned(row_.place->attack(*this));
  row_.setting->run(
      *this,
      [&] {
        std::byte* const at = aimed + moved_;
        if (weakness_ == Weakness::kNoProtection) Unprotect(at, row_.act->size);
        Begin(at);
        report_.fault = Guarded([&] {
          if (weakness_ != Weakness::kSilentAct) row_.act->run(*this, at);
        });
        report_.attacked = true;
        judge_.CompareAttack();
        Detect();
      },
      false);
}

void Arena::Run(bool control, bool attack) {
  if (control) Control();
  if (attack) Attack();
}

}  // namespace lightning::routes
