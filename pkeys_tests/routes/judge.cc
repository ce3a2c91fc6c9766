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

#include "lightning/isolation.h"
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
  uint64_t control_changed = 0, attack_changed = 0, operation_changed = 0;
  bool control_reached = false, control_compared = false, attack_compared = false;
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
    if (message.kind == 'S' || message.kind == 'R') file.Snapshot();
    if (message.kind == 'R') course->control_reached = true;
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
    if (message.kind == 'O') course->operation_changed = file.Changed();
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

enum class Part : uint8_t { kControl, kAttack, kBoth };

[[noreturn]] void BeTheRow(const Row& row, const std::string& path, Weakness weakness, Report& report, int socket,
                           int said, Part part, Extra extra) {
  dup2(said, STDERR_FILENO);
  signal(SIGPIPE, SIG_DFL);
  Arena* const arena = new Arena(row, path, weakness, report, socket, extra);  // never taken apart: no detaching
  arena->Run(part != Part::kAttack, part != Part::kControl);
  _exit(0);
}

void RunChild(const Row& row, Weakness weakness, Report& report, Part part, Extra extra, Course* course) {
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
    BeTheRow(row, file.path(), weakness, report, sockets[1], said.get(), part, extra);
  }
  close(sockets[1]);
  Attend(file, ours.get(), course);
  if (course->hung) kill(child, SIGKILL);
  LIGHTNING_ASSERT(waitpid(child, &course->status, 0) == child);
  kill(-child, SIGKILL);  // what it may have left behind
  // It died in the midst: what it had changed by then counts, but not what its preparations changed.
  if (part != Part::kControl && !course->attack_compared) course->attack_changed = file.Changed();
  if (course->control_reached && !course->control_compared) course->control_changed = file.Changed();
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

bool EndedBy(const Course& course, int signal) {
  return WIFSIGNALED(course.status) && WTERMSIG(course.status) == signal;
}
bool CameToItsEnd(const Course& course) { return WIFEXITED(course.status) && WEXITSTATUS(course.status) == 0; }

std::string DescribeEnd(const Course& course) {
  if (WIFSIGNALED(course.status)) return "ended by " + std::string(sigabbrev_np(WTERMSIG(course.status)));
  return CameToItsEnd(course) ? "" : "exit status " + std::to_string(WEXITSTATUS(course.status));
}

// The si_code that the row's mode and place promise.
int ExpectedCode(const Row& row) {
  if (row.setting->code != 0 && row.error == 0) return row.setting->code;
  const std::string_view target = row.target;
  if (target.ends_with("_view") || target.starts_with("guard")) return SEGV_ACCERR;
  return row.mode == Isolation::kKeys ? SEGV_PKUERR : SEGV_ACCERR;
}

bool AtTarget(const Row& row, const Report& report) {
  const uint64_t at = report.fault.address;
  return report.target <= at && at < report.target + row.act->size;
}

// The refusal that a seal or a filter promises, and where a store follows the refused change, its fault.
bool GaveSignOfExtra(const Row& row, const Report& report, bool right_fault) {
  const bool store_follows = row.act->sign == Sign::kFault && row.setting != &FindContext("main_thread");
  return report.refused && report.error == row.error && (right_fault || !store_follows);
}

// Whether the attack gave the sign that the row promises for "stopped".
bool GaveSign(const Row& row, const Report& report, const Course& course) {
  const Fault& fault = report.fault;
  const bool right_fault = fault.happened && fault.signal == SIGSEGV && fault.code == ExpectedCode(row) &&
                           (fault.code != SEGV_PKUERR || fault.key == report.key) && AtTarget(row, report);
  const bool right_error = report.refused && report.error == row.act->error;
  const bool ended = CameToItsEnd(course) && report.attacked;
  if (row.error != 0) return ended && GaveSignOfExtra(row, report, right_fault);
  switch (row.act->sign) {
    case Sign::kFault:
      return ended && right_fault;
    case Sign::kRefused:
      return ended && right_error;
    case Sign::kEither:
      return ended && (right_fault || right_error);
    case Sign::kKernelFault:
      return ended && fault.happened && fault.signal == SIGSEGV && fault.code == SI_KERNEL;
    case Sign::kKilled:
      return EndedBy(course, SIGSEGV) && !report.attacked;
    case Sign::kTaskEnded:
      return ended && (right_error || report.helper_killed);
    case Sign::kIgnored:
      return ended && report.taken && !fault.happened && !report.helper_killed;
  }
  return false;
}

std::string Describe(const Report& report, const Course& course) {
  std::string seen = Describe(report.fault);
  if (report.refused) seen += ", refused: " + std::string(strerrorname_np(report.error));
  if (const std::string end = DescribeEnd(course); !end.empty()) seen += ", " + end;
  if (report.helper_killed) seen += ", a thread ended by SEGV";
  seen += ", " + std::to_string(course.attack_changed) + " bytes changed";
  if (report.found[0] != 0) seen += ", audit: " + std::string(report.found);
  if (report.told[0] != 0) seen += ", handler: " + std::string(report.told);
  if (!course.message.empty()) seen += ", \"" + course.message + "\"";
  return seen;
}

Breach FindBreach(const std::string& name) {
  for (uint8_t number = 1; number <= static_cast<uint8_t>(Breach::kReentered); ++number) {
    if (name == BreachName(Breach{number})) return Breach{number};
  }
  abort();
}

// Whether the process ended for the breach that the row names: an operation says what it means, attaching also where.
bool AbortedFor(const Row& row, const Course& course) {
  const std::string name = row.breach.substr(0, row.breach.find(','));
  std::string begin = "lightning: " + name + " at ";
  if (row.detector == Detector::kNextOperation) begin = "lightning: " + std::string(BreachMessage(FindBreach(name)));
  return EndedBy(course, SIGABRT) && course.message.starts_with(begin);
}

bool Detected(const Row& row, const Report& report, const Course& course) {
  if (row.detector == Detector::kNone) return false;
  if (row.detector == Detector::kAudit) return CameToItsEnd(course) && report.found == row.breach;
  if (!report.operating) return false;
  if (row.extra != Extra::kHandler) return AbortedFor(row, course);
  return CameToItsEnd(course) && report.told == row.breach && report.answer == Code::kIsolationBroken &&
         (row.detector == Detector::kAttach || (report.times_told == 1 && course.operation_changed == 0));
}

// What the children of one row left behind.
struct Children {
  Report& report;  // of control and attack
  Course control, attack;
  // Sealed or hardened, and stopped: the same attack without that.
  bool has_bare = false;
  Report& bare_report;
  Course bare;
};

// Why nothing can be said of the row, or an empty string.
std::string WhyVoid(const Row& row, const Children& all) {
  if (all.control.hung || all.attack.hung || all.bare.hung) return "the row came to no end";
  if (all.control.control_changed == 0) {
    return "no control: with rights it did not land either (" + Describe(all.report.control_fault) + ", error " +
           std::to_string(all.report.control_error) + ", " + DescribeEnd(all.control) + ")";
  }
  if (!all.report.begun) return "it came to its end before its act: " + DescribeEnd(all.attack);
  if (all.report.found_before[0] != 0)
    return "the audit found something before anything was wrong: " + std::string(all.report.found_before);
  if (!all.has_bare) return "";
  if (!all.bare_report.begun || !CameToItsEnd(all.bare))
    return "no control: it does not go without seals or hardening either: " + Describe(all.bare_report, all.bare);
  if (all.bare_report.refused && all.bare_report.error == row.error)
    return "no control: the call is refused without seals or hardening, too";
  return "";
}

Verdict Expected(const Row& row) {
  if (row.expectation == Expectation::kDetected) return Verdict::kDetected;
  if (row.expectation == Expectation::kStopped) return Verdict::kStopped;
  return row.lands && (row.spared == nullptr || row.spared() == nullptr) ? Verdict::kLanded : Verdict::kStopped;
}

Finding Judge(const Row& row, const Children& all) {
  Finding finding;
  for (const Report* report : {&all.report, &all.bare_report}) {
    if (!report->skipped) continue;
    finding.reason = report->fact;
    finding.as_expected = true;
    return finding;
  }
  const uint64_t changed = all.attack.attack_changed;
  finding.seen = Describe(all.report, all.attack);
  finding.verdict = Verdict::kLanded;  // what is not shown to be stopped counts as landed
  finding.reason = WhyVoid(row, all);
  if (!finding.reason.empty()) return finding;
  finding.judged = true;
  if (Detected(row, all.report, all.attack)) {
    finding.verdict = Verdict::kDetected;
    if (row.lands != (changed != 0)) {
      finding.reason = "found, but " + std::to_string(changed) + " bytes changed, which the table does not say";
      return finding;
    }
  } else if (changed == 0 && GaveSign(row, all.report, all.attack)) {
    finding.verdict = Verdict::kStopped;
  } else if (changed == 0) {
    finding.reason = "nothing changed, and nothing shows why: " + finding.seen;
    return finding;
  } else if (row.expectation == Expectation::kOutOfScope && !CameToItsEnd(all.attack) &&
             !(row.act->sign == Sign::kKilled && EndedBy(all.attack, SIGSEGV))) {
    finding.reason = "the process did not survive it: " + finding.seen;
    return finding;
  }
  finding.as_expected = finding.verdict == Expected(row);
  if (!finding.as_expected) finding.reason = finding.seen;
  return finding;
}

}  // namespace

Finding RunRow(const Row& row, Weakness weakness) {
  void* memory = mmap(nullptr, 2 * sizeof(Report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  LIGHTNING_ASSERT(memory != MAP_FAILED);
  auto* const reports = static_cast<Report*>(memory);
  Children all{*new (reports) Report, {}, {}, false, *new (reports + 1) Report, {}};
  const Extra extra = weakness == Weakness::kNoProtection && row.error != 0 ? Extra::kNone : row.extra;
  if (row.extra != Extra::kNone || row.act->leaves_traces || row.setting->leaves_traces) {
    RunChild(row, weakness, all.report, Part::kControl, Extra::kNone, &all.control);
    if (!all.report.skipped) RunChild(row, weakness, all.report, Part::kAttack, extra, &all.attack);
  } else {
    RunChild(row, weakness, all.report, Part::kBoth, extra, &all.attack);
    all.control = all.attack;
  }
  all.has_bare = row.error != 0 && weakness == Weakness::kNone && !all.report.skipped;
  if (all.has_bare) RunChild(row, weakness, all.bare_report, Part::kAttack, Extra::kNone, &all.bare);
  const Finding finding = Judge(row, all);
  munmap(memory, 2 * sizeof(Report));
  return finding;
}

Finding Prove(const Row& row, Weakness weakness) {
  Finding finding = RunRow(row, weakness);
  if (finding.verdict == Verdict::kSkipped) return finding;
  const char* const immune = Immune(row, weakness);
  const bool failed = !finding.as_expected && finding.judged && finding.verdict == Verdict::kLanded;
  finding.as_expected = immune != nullptr ? finding.as_expected : failed;
  if (!finding.as_expected) {
    finding.reason = std::string("weakened by ") + Name(weakness) + " it " +
                     (immune == nullptr ? "does not fail" : "fails, though it is said to be immune") + ": " +
                     Name(finding.verdict) + ", " + (finding.judged ? finding.seen : finding.reason);
  }
  return finding;
}

}  // namespace lightning::routes
