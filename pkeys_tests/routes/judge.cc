#include "pkeys_tests/routes/judge.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "pkeys_tests/routes/arena.h"
#include "store/segment/segment_file.h"

namespace lightning::routes {

void JudgeLine::Call(char kind, uint64_t offset, uint64_t value) {
  const JudgeMessage message{kind, offset, value};
  char answer;
  // Not an assertion: its message would look like the store's.
  if (write(socket_, &message, sizeof message) != sizeof message || read(socket_, &answer, 1) != 1) _exit(99);
}

namespace {

constexpr int kPatience = 300'000;  // milliseconds for one step of a row; what takes longer hangs

Options RowOptions() {
  Options options;
  options.size = 1 << 20;
  options.max_objects = 64;
  options.max_clients = 4;
  options.max_pins = 16;
  options.event_slots = 8;
  return options;
}

// The segment's file, as this process sees it.
class JudgedFile {
 public:
  JudgedFile() : path_("/dev/shm/lightning-isolation." + std::to_string(getpid())) {
    unlink(path_.c_str());
    LIGHTNING_ASSERT(CreateSegmentFile(path_, RowOptions()).ok());
    fd_ = ScopedFd(open(path_.c_str(), O_RDWR | O_CLOEXEC));
    Snapshot();
  }
  ~JudgedFile() { unlink(path_.c_str()); }
  JudgedFile(const JudgedFile&) = delete;
  JudgedFile& operator=(const JudgedFile&) = delete;

  const std::string& path() const { return path_; }
  void Snapshot() { before_size_ = Read(before_); }
  // Bytes that differ from the last snapshot; a byte that is no longer there counts.
  uint64_t Changed() const {
    const size_t size = Read(now_), common = std::min(size, before_size_);
    uint64_t changed = before_size_ - common;
    if (memcmp(now_, before_, common) == 0) return changed;
    for (size_t i = 0; i < common; ++i) changed += now_[i] != before_[i];
    return changed;
  }
  // After Changed.
  void Restore() const {
    for (size_t i = 0; i < before_size_; i += kPageSize) {
      if (memcmp(now_ + i, before_ + i, kPageSize) != 0) Write(i, before_ + i, kPageSize);
    }
  }
  void Write(uint64_t offset, const void* data, size_t size) const {
    LIGHTNING_ASSERT(pwrite(fd_.get(), data, size, static_cast<off_t>(offset)) == static_cast<ssize_t>(size));
  }

 private:
  size_t Read(char* to) const {
    const ssize_t size = pread(fd_.get(), to, RowOptions().size, 0);
    return size > 0 ? static_cast<size_t>(size) : 0;
  }
  // Shared, so that a fork neither copies it nor makes this process copy it: in an emulated machine that counts.
  static char* Buffer() {
    void* memory = mmap(nullptr, RowOptions().size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    LIGHTNING_ASSERT(memory != MAP_FAILED);
    return static_cast<char*>(memory);
  }

  const std::string path_;
  ScopedFd fd_;
  static inline char* const before_ = Buffer();
  static inline char* const now_ = Buffer();
  size_t before_size_ = 0;
};

// What became of the row's process, and what the judge saw.
struct Course {
  uint64_t control_changed = 0, attack_changed = 0;
  bool control_compared = false, attack_compared = false;
  bool hung = false;
  int status = 0;
  std::string message;  // what the process said at its end, if it is the store's
};

// Answers the row's process until it ends.
void Attend(JudgedFile& file, int socket, Course* course) {
  JudgeMessage message;
  for (;;) {
    pollfd ready{socket, POLLIN, 0};
    if (poll(&ready, 1, kPatience) == 0) {
      course->hung = true;
      return;
    }
    if (read(socket, &message, sizeof message) != sizeof message) return;
    if (message.kind == 'S') file.Snapshot();
    if (message.kind == 'P') {
      file.Write(message.offset, &message.value, sizeof message.value);
      file.Snapshot();
    }
    if (message.kind == 'C') {
      course->control_changed = file.Changed();
      course->control_compared = true;
      file.Restore();
    }
    if (message.kind == 'A') {
      course->attack_changed = file.Changed();
      course->attack_compared = true;
    }
    if (write(socket, "k", 1) != 1) return;
  }
}

std::string StoreMessage(int fd) {
  std::string text(2000, '\0');
  const ssize_t size = pread(fd, text.data(), text.size(), 0);
  text.resize(size > 0 ? static_cast<size_t>(size) : 0);
  const size_t begin = text.find("lightning: ");
  return begin == std::string::npos ? "" : text.substr(begin, text.find('\n', begin) - begin);
}

[[noreturn]] void BeTheRow(const Row& row, const std::string& path, Weakness weakness, Report& report, int socket,
                           int said, bool control, bool attack) {
  dup2(said, STDERR_FILENO);
  signal(SIGPIPE, SIG_DFL);
  {
    Arena* const arena = new Arena(row, path, weakness, report, socket,
                                   attack ? row.extra : Extra::kNone);  // never taken apart: no detaching
    arena->Run(control, attack);
  }
  _exit(0);
}

void RunChild(const Row& row, Weakness weakness, Report& report, bool control, bool attack, Course* course) {
  JudgedFile file;
  int sockets[2];
  LIGHTNING_ASSERT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) == 0);
  const ScopedFd ours(sockets[0]), said(memfd_create("said", MFD_CLOEXEC));
  fflush(nullptr);
  const pid_t child = fork();
  LIGHTNING_ASSERT(child >= 0);
  if (child == 0) {
    setpgid(0, 0);
    close(sockets[0]);
    BeTheRow(row, file.path(), weakness, report, sockets[1], said.get(), control, attack);
  }
  close(sockets[1]);
  Attend(file, ours.get(), course);
  if (course->hung) kill(child, SIGKILL);
  LIGHTNING_ASSERT(waitpid(child, &course->status, 0) == child);
  kill(-child, SIGKILL);  // what it may have left behind
  // It died in the midst: what it had changed by then counts.
  if (attack && !course->attack_compared) course->attack_changed = file.Changed();
  if (control && !course->control_compared) course->control_changed = file.Changed();
  course->message = StoreMessage(said.get());
}

std::string Describe(const Fault& fault) {
  if (!fault.happened) return "no fault";
  const char* code = "";
  if (fault.signal == SIGSEGV) {
    code = fault.code == SEGV_PKUERR   ? ", SEGV_PKUERR"
           : fault.code == SEGV_ACCERR ? ", SEGV_ACCERR"
           : fault.code == SEGV_MAPERR ? ", SEGV_MAPERR"
                                       : "";
  }
  std::string text = (fault.signal == SIGSEGV ? "SIGSEGV" : "SIGBUS") + std::string(code);
  if (fault.key >= 0) text += ", key " + std::to_string(fault.key);
  return text;
}

bool KilledBySegv(const Course& course) { return WIFSIGNALED(course.status) && WTERMSIG(course.status) == SIGSEGV; }

// The si_code that the row's mode and place promise.
int ExpectedCode(const Row& row) {
  if (row.setting->code != 0) return row.setting->code;
  const std::string_view target = row.target;
  if (target.ends_with("_view") || target.starts_with("guard")) return SEGV_ACCERR;
  return row.mode == Isolation::kKeys ? SEGV_PKUERR : SEGV_ACCERR;
}

// The address of the fault is the target's, as far as the kernel told it.
bool AtTarget(const Row& row, const Report& report) {
  const uint64_t at = report.fault.address;
  return at == 0 || (report.target <= at && at < report.target + row.act->size);
}

// Whether the attack gave the sign that the row promises for "stopped"; else what it gave.
bool GaveSign(const Row& row, const Report& report, const Course& course, std::string* seen) {
  const Fault& fault = report.fault;
  const bool right_fault = fault.happened && fault.signal == SIGSEGV && fault.code == ExpectedCode(row) &&
                           (fault.code != SEGV_PKUERR || fault.key == report.key) && AtTarget(row, report);
  const bool forbidden = row.extra != Extra::kNone && (report.error == EPERM || report.error == EACCES);
  const bool right_error = report.refused && (row.act->error == 0 || report.error == row.act->error || forbidden);
  *seen = Describe(fault);
  if (report.refused) *seen += ", refused: " + std::string(strerrorname_np(report.error));
  if (WIFSIGNALED(course.status)) *seen += ", ended by " + std::string(sigabbrev_np(WTERMSIG(course.status)));
  if (report.helper_killed) *seen += ", a thread ended by SEGV";
  switch (row.act->sign) {
    case Sign::kFault:
      return right_fault || (report.refused && forbidden);
    case Sign::kRefused:
      return right_error;
    case Sign::kEither:
      return right_fault || right_error;
    case Sign::kKilled:
      return KilledBySegv(course) || report.helper_killed || right_error || fault.happened;
    case Sign::kIgnored:
      return report.attacked && !fault.happened;
  }
  return false;
}

Finding Judge(const Row& row, const Report& report, const Course& control, const Course& attack) {
  Finding finding;
  if (report.skipped) {
    finding.reason = report.fact;
    finding.as_expected = true;
    return finding;
  }
  const bool needs_control = row.expectation != Expectation::kOutOfScope;
  const bool signed_off = GaveSign(row, report, attack, &finding.seen);
  finding.seen += ", " + std::to_string(attack.attack_changed) + " bytes changed";
  if (report.breaches != 0) finding.seen += ", audit: " + std::string(report.breach);
  if (!attack.message.empty()) finding.seen += ", \"" + attack.message + "\"";
  const bool aborted = WIFSIGNALED(attack.status) && WTERMSIG(attack.status) == SIGABRT && !attack.message.empty();

  finding.verdict = Verdict::kLanded;  // what is not shown to be stopped counts as landed
  if (control.hung || attack.hung) {
    finding.reason = "the row came to no end";
  } else if (needs_control && control.control_changed == 0) {
    finding.reason = "no control: with rights it did not land either (" + Describe(report.control_fault) + ", error " +
                     std::to_string(report.control_error) + ")";
  } else if (report.breaches_before != 0) {
    finding.reason = "the audit found something before anything was wrong: " + std::string(report.breach);
  } else if (row.detector == Detector::kNextOperation ? aborted && report.operating : report.breaches != 0) {
    finding.verdict = Verdict::kDetected;
  } else if (attack.attack_changed != 0) {
    finding.reason = std::to_string(attack.attack_changed) + " bytes changed";
  } else if (signed_off || row.expectation == Expectation::kOutOfScope) {
    finding.verdict = Verdict::kStopped;
  } else {
    finding.reason = "nothing changed, and nothing shows why: " + finding.seen;
  }
  finding.as_expected = (finding.reason.empty() || finding.verdict == Verdict::kLanded) &&
                        (row.expectation == Expectation::kOutOfScope ||
                         (row.expectation == Expectation::kStopped && finding.verdict == Verdict::kStopped) ||
                         (row.expectation == Expectation::kDetected && finding.verdict == Verdict::kDetected));
  if (finding.as_expected) finding.reason.clear();
  return finding;
}

}  // namespace

Finding RunRow(const Row& row, Weakness weakness) {
  void* memory = mmap(nullptr, sizeof(Report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  LIGHTNING_ASSERT(memory != MAP_FAILED);
  Report& report = *new (memory) Report;
  Course control, attack;
  const bool needs_control = row.expectation != Expectation::kOutOfScope;
  const bool apart = row.extra != Extra::kNone || row.act->leaves_traces || row.setting->leaves_traces;
  if (needs_control && apart) {
    RunChild(row, weakness, report, true, false, &control);
    if (!report.skipped) RunChild(row, weakness, report, false, true, &attack);
  } else {
    RunChild(row, weakness, report, needs_control, true, &attack);
    control = attack;
  }
  const Finding finding = Judge(row, report, control, attack);
  munmap(memory, sizeof(Report));
  return finding;
}

}  // namespace lightning::routes
