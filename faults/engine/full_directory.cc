#include "faults/engine/full_directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "faults/engine/kill_worker.h"
#include "faults/model/random.h"
#include "faults/target/segments.h"

namespace lightning::faults {
namespace {

constexpr uint64_t kSegment = 2 << 20;
constexpr const char* kFileSystem = "size=5m,mode=0700";  // room for two segments
constexpr uint32_t kTimes = 4;
constexpr uint64_t kWorkerOperations = 300;

// What the child says; shared with the parent.
struct Answer {
  uint64_t refused;
  bool missing;  // `text` is a fact that is missing
  char text[400];
};

bool WriteFile(const char* path, const std::string& text) {
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool well = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  close(fd);
  return well;
}

// Into a mount namespace that we may mount in; as root as we are, else in a user namespace. The missing fact, or "".
std::string Unshare() {
  const uid_t uid = getuid();
  const gid_t gid = getgid();
  if (unshare(CLONE_NEWNS) != 0) {
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
      return fmt::format("a mount namespace is not to be had: {}", strerror(errno));
    WriteFile("/proc/self/setgroups", "deny");
    if (!WriteFile("/proc/self/uid_map", fmt::format("0 {} 1", uid)) ||
        !WriteFile("/proc/self/gid_map", fmt::format("0 {} 1", gid)))
      return fmt::format("the user namespace's ids cannot be mapped: {}", strerror(errno));
  }
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return fmt::format("mounts cannot be made private: {}", strerror(errno));
  return "";
}

class Room {
 public:
  Room(std::string folder, uint64_t seed, Isolation isolation) : folder_(std::move(folder)), random_(seed) {
    options_.size = kSegment;
    options_.max_objects = 256;
    options_.max_clients = 16;
    options_.max_pins = 16;
    options_.event_slots = 16;
    options_.isolation = isolation;
    options_.mode = OpenMode::kCreate;
  }

  std::string Run(bool leave_room, uint64_t* refused) {
    const Result<Store> store = Store::Open(Path("segment"), options_);
    if (!store.ok()) return "making the segment: " + store.status().ToString();
    Result<Client> client = store->Connect();
    if (!client.ok()) return "attaching: " + client.status().ToString();
    for (uint32_t i = 0; i < kTimes; ++i) {
      std::string error = leave_room ? "" : Fill();
      if (error.empty()) error = RefuseAnother(refused);
      if (error.empty()) error = KillWorker(*store);
      if (error.empty()) error = GoOn(*client);
      if (error.empty()) error = MakeAnother();
      if (!error.empty()) return error;
    }
    return "";
  }

 private:
  std::string Path(const char* name) const { return folder_ + "/" + name; }

  std::string Fill() {
    const int fd = open(Path("filler").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return fmt::format("the filler: {}", strerror(errno));
    const std::string page(4096, 'x');
    while (write(fd, page.data(), page.size()) > 0) {
    }
    const int error = errno;
    close(fd);
    return error == ENOSPC ? "" : fmt::format("the filler: {}", strerror(error));
  }

  std::string RefuseAnother(uint64_t* refused) {
    const Result<Store> another = Store::Open(Path("another"), options_);
    if (another.ok()) return "a segment was made in a full directory";
    if (another.code() != Code::kNoSpace)
      return fmt::format("a full directory answers {} instead of NO_SPACE", another.status().ToString());
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      const std::string name = entry.path().filename();
      if (name != "segment" && name != "filler") return "a refused segment left " + name + " behind";
    }
    ++*refused;
    return "";
  }

  // Another process attaches and works, and dies in the middle of it.
  std::string KillWorker(const Store& store) {
    const uint64_t seed = random_.Next();
    const pid_t pid = fork();
    if (pid < 0) return fmt::format("fork: {}", strerror(errno));
    if (pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      Result<Client> client = store.Connect();
      if (!client.ok()) _exit(3);
      for (uint64_t i = 0;; ++i) {
        if (!Change(*client, static_cast<uint32_t>(MixSeeds(seed, i) % 16)).empty()) _exit(4);
      }
    }
    usleep(static_cast<useconds_t>(random_.Between(500, 6'000)));
    kill(pid, SIGKILL);
    int status = 0;
    waitpid(pid, &status, 0);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) return "";
    return fmt::format("a worker in a full directory ended with status {}", status);
  }

  std::string Change(Client& client, uint32_t key) {
    std::byte value[2000];
    const uint64_t size = random_.Between(kSmallestValue, sizeof value);
    FillValue(value, size, key, random_.Next() | 1);
    const Result<uint64_t> version = client.Put(KillKey(key), Bytes(value, size));
    return version.ok() ? "" : fmt::format("put in a full directory: {}", version.status().ToString());
  }

  std::string GoOn(Client& client) {
    const Result<RecoveryReport> report = client.Recover();
    if (!report.ok()) return "Recover in a full directory: " + report.status().ToString();
    for (uint64_t i = 0; i < kWorkerOperations; ++i) {
      const auto key = static_cast<uint32_t>(random_.Below(16));
      std::string error = Change(client, key);
      const Result<Handle> handle = client.Get(KillKey(key));
      if (error.empty() && !handle.ok()) error = "get in a full directory: " + handle.status().ToString();
      if (error.empty()) static_cast<void>(ReadValue(handle->bytes(), key, &error));
      if (!error.empty()) return error;
    }
    const CheckReport check = client.Check();
    if (check.ok) return "";
    return "Check in a full directory: " + (check.violations.empty() ? std::string("busy") : check.violations[0]);
  }

  // The control: with room again, what was refused is made.
  std::string MakeAnother() {
    unlink(Path("filler").c_str());
    const Result<Store> another = Store::Open(Path("another"), options_);
    if (!another.ok()) return "with room again: " + another.status().ToString();
    unlink(Path("another").c_str());
    return "";
  }

  const std::string folder_;
  Random random_;
  Options options_;
};

void RunChild(const std::string& folder, uint64_t seed, Isolation isolation, bool leave_room, Answer* answer) {
  std::string missing = Unshare();
  if (missing.empty() && mount("lightning", folder.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, kFileSystem) != 0)
    missing = fmt::format("a tmpfs cannot be mounted: {}", strerror(errno));
  answer->missing = !missing.empty();
  const std::string text = answer->missing ? missing : Room(folder, seed, isolation).Run(leave_room, &answer->refused);
  snprintf(answer->text, sizeof answer->text, "%s", text.c_str());
}

}  // namespace

FullDirectory TryFullDirectory(uint64_t seed, Isolation isolation, bool leave_room) {
  FullDirectory result;
  std::string folder = (std::filesystem::temp_directory_path() / "lightning-full.XXXXXX").string();
  void* shared = mmap(nullptr, sizeof(Answer), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED || mkdtemp(folder.data()) == nullptr) {
    result.cannot_run = fmt::format("no folder to mount in: {}", strerror(errno));
    return result;
  }
  Answer* const answer = new (shared) Answer{};
  const pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    RunChild(folder, seed, isolation, leave_room, answer);
    _exit(0);
  }
  int status = 0;
  if (pid > 0) waitpid(pid, &status, 0);
  rmdir(folder.c_str());
  result.refused = answer->refused;
  (answer->missing ? result.cannot_run : result.error) = answer->text;
  if (pid < 0) result.cannot_run = "no process could be forked";
  if (status != 0) result.error = fmt::format("a client in a full directory ended with status {}", status);
  munmap(shared, sizeof(Answer));
  return result;
}

}  // namespace lightning::faults
