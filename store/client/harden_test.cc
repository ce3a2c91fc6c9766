// Each thing that hardening forbids: it can be done without, in a child, and cannot with it, in another; and the store
// works on in both.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>

#include "store/client/core.h"
#include "store/testing/isolated_segment.h"

namespace lightning {
namespace {

using test::RunInChild;

constexpr uint64_t kSize = test::IsolatedSegment::kSize;
constexpr long kMseal = 462;
constexpr int kStopped = 0, kLanded = 1, kBroken = 50;  // of a child; kBroken and more: the store does not work
constexpr int kWrite = PROT_READ | PROT_WRITE;

struct Target {
  Client& client;
  std::string path;
  std::byte* control;
  std::byte* reserved;
  std::byte* view;
  int key;
};

struct Attack {
  const char* name;
  std::function<bool(const Target&)> land;  // whether it did what it is about
  bool on_view = false;                     // leaves the control mapping alone
};

bool MapOver(std::byte* at) {
  return mmap(at, kPageSize, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at;
}

// Those that change mappings: what both mseal and seccomp are about. The last page: none that an operation needs.
std::vector<Attack> MappingAttacks() {
  constexpr uint64_t kLast = kSize - kPageSize;
  return {
      {"munmap", [](const Target& t) { return munmap(t.control + kLast, kPageSize) == 0; }},
      {"MunmapOfTheView", [](const Target& t) { return munmap(t.view + kLast, kPageSize) == 0; }, true},
      {"MunmapFromBelowTheGuard",
       [](const Target& t) {
         const uint64_t guard = static_cast<uint64_t>(t.control - t.reserved);
         return munmap(t.reserved - kPageSize, guard + 2 * kPageSize) == 0;
       }},
      {"MapFixed", [](const Target& t) { return MapOver(t.control + kLast); }},
      {"MapFixedOverTheView", [](const Target& t) { return MapOver(t.view + kLast); }, true},
      {"MapFixedOverAGuard", [](const Target& t) { return MapOver(t.control - kPageSize); }, true},
      {"MremapAway",
       [](const Target& t) {
         return mremap(t.control + kLast, kPageSize, kPageSize * 2, MREMAP_MAYMOVE) != MAP_FAILED;
       }},
      {"MremapOnto",
       [](const Target& t) {
         void* mine = mmap(nullptr, kPageSize, kWrite, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
         return mremap(mine, kPageSize, kPageSize, MREMAP_MAYMOVE | MREMAP_FIXED, t.view + kLast) != MAP_FAILED;
       },
       true},
      {"MremapCopyOfTheView",
       [](const Target& t) {
         void* copy = mremap(t.view, 0, kSize, MREMAP_MAYMOVE);
         return copy != MAP_FAILED && mprotect(copy, kSize, kWrite) == 0;
       },
       true},
      {"MprotectOfTheView", [](const Target& t) { return mprotect(t.view, kPageSize, kWrite) == 0; }, true},
      {"MprotectOfAGuard", [](const Target& t) { return mprotect(t.control + kSize, kPageSize, kWrite) == 0; }, true},
      {"Mprotect", [](const Target& t) { return mprotect(t.control + kLast, kPageSize, kWrite) == 0; }},
      {"RemapFilePages",
       [](const Target& t) { return syscall(SYS_remap_file_pages, t.control + kLast, kPageSize, 0, 0, 0) == 0; }},
  };
}

std::vector<Attack> SystemCallAttacks() {
  std::vector<Attack> all = MappingAttacks();
  all.push_back({"MadviseRemove",
                 [](const Target& t) { return madvise(t.control + kSize - kPageSize, kPageSize, MADV_REMOVE) == 0; }});
  all.push_back({"MadviseDofork", [](const Target& t) { return madvise(t.control, kPageSize, MADV_DOFORK) == 0; }});
  all.push_back({"ProcessVmWritev", [](const Target& t) {
                   char byte = 0;
                   const iovec from{&byte, 1}, to{t.control + kSize - 1, 1};
                   // In mode mprotect the page is read-only for the kernel, too: onto the stack then.
                   static char mine;
                   const iovec own{&mine, 1};
                   return process_vm_writev(getpid(), &from, 1, &to, 1, 0) == 1 ||
                          process_vm_writev(getpid(), &from, 1, &own, 1, 0) == 1;
                 }});
  all.push_back({"Ptrace", [](const Target&) { return ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0; }});
  all.push_back({"Userfaultfd", [](const Target&) { return syscall(SYS_userfaultfd, 1 /* user mode only */) >= 0; }});
  return all;
}

std::vector<Attack> FileAttacks() {
  return {
      {"OpenTheSegment", [](const Target& t) { return open(t.path.c_str(), O_RDWR | O_CLOEXEC) >= 0; }},
      {"TruncateTheSegment", [](const Target& t) { return truncate(t.path.c_str(), kSize) == 0; }},
      {"ProcSelfMem", [](const Target&) { return open("/proc/self/mem", O_RDWR | O_CLOEXEC) >= 0; }},
      {"ProcPidMem",
       [](const Target&) {
         return open(("/proc/" + std::to_string(getpid()) + "/mem").c_str(), O_WRONLY | O_CLOEXEC) >= 0;
       }},
  };
}

class HardenTest : public test::IsolatedSegment {
 protected:
  // Everything that a client does, and that a further one is let in when it may be.
  static bool Works(Client& client) {
    const std::string large(70'000, 'l');
    bool well = client.Put("key", "value").ok() && client.Put("large", large).ok();
    Result<Writer> writer = client.Create("created", 70'000);
    well = well && writer.ok() && writer->Seal().ok() && client.Get("created").ok();
    well = well && client.Get("large")->view() == large && client.Delete("created").ok() && client.Delete("large").ok();
    return well && client.Delete("key").ok();
  }

  int Try(const Attack& attack, const Options& options, const HardenOptions* harden) const {
    return RunInChild([&] {
      // Never destroyed: it does not detach from what an attack has taken away.
      Result<Client>& client = *new Result<Client>(Store::Open(name_.name(), options)->Connect());
      if (!client.ok()) return kBroken;
      const bool hardened = harden != nullptr || options.seal;
      if (harden != nullptr && !Harden(*harden).ok()) return kBroken + 1;
      if (hardened && !Works(*client)) return kBroken + 2;
      Target target{*client, name_.path(), nullptr, nullptr, nullptr, -1};
      Gate::WithAll([&](const std::vector<Gate::Mappings>& gates) {
        target.control = reinterpret_cast<std::byte*>(gates.back().control.begin);
        target.reserved = reinterpret_cast<std::byte*>(gates.back().reserved.begin);
        target.view = reinterpret_cast<std::byte*>(gates.back().view.begin);
        target.key = gates.back().key;
      });
      const bool landed = attack.land(target);
      if (!landed && hardened) {
        if (!Audit().ok()) return kBroken + 3;
        if (!Works(*client)) return kBroken + 4;
        client->Close();
      }
      return landed ? kLanded : kStopped;
    });
  }
};
INSTANTIATE_TEST_SUITE_P(Modes, HardenTest, testing::Values(Isolation::kKeys, Isolation::kMprotect, Isolation::kHidden),
                         [](const auto& mode) { return IsolationName(mode.param); });

TEST_P(HardenTest, TheSystemCallFilterStopsWhatLandsWithoutIt) {
  const HardenOptions harden{.system_calls = true, .files = false};
  for (const Attack& attack : SystemCallAttacks()) {
    const int without = Try(attack, options_, nullptr);
    if (without == kStopped && std::string(attack.name) == "Userfaultfd")
      continue;  // not for everybody, on some machines
    EXPECT_EQ(without, kLanded) << attack.name;
    EXPECT_EQ(Try(attack, options_, &harden), kStopped) << attack.name;
  }
}

// Where there is a key to keep.
class KeysHardenTest : public HardenTest {};
INSTANTIATE_TEST_SUITE_P(Keys, KeysHardenTest, testing::Values(Isolation::kKeys));

TEST_P(KeysHardenTest, TheSystemCallFilterKeepsTheKey) {
  const HardenOptions harden{.system_calls = true, .files = false};
  const Attack to_key_0{"PkeyMprotect", [](const Target& t) {
                          return pkey_mprotect(t.control + kSize - kPageSize, kPageSize, kWrite, 0) == 0;
                        }};
  const Attack free_it{"PkeyFree", [](const Target& t) { return pkey_free(t.key) == 0; }};
  for (const Attack& attack : {to_key_0, free_it}) {
    EXPECT_EQ(Try(attack, options_, nullptr), kLanded) << attack.name;
    EXPECT_EQ(Try(attack, options_, &harden), kStopped) << attack.name;
  }
}

TEST_P(HardenTest, TheSystemCallFilterLetsAllElsePass) {
  const HardenOptions harden{.system_calls = true, .files = false};
  const Attack own{
      "own mappings", [](const Target&) {
        auto* mine = static_cast<std::byte*>(mmap(nullptr, 4 * kPageSize, kWrite, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        const bool well = mprotect(mine, kPageSize, PROT_READ) == 0 && MapOver(mine) &&
                          madvise(mine + kPageSize, kPageSize, MADV_DONTNEED) == 0 &&
                          mremap(mine, kPageSize, 2 * kPageSize, MREMAP_MAYMOVE) != MAP_FAILED &&
                          munmap(mine + 2 * kPageSize, kPageSize) == 0;
        return well;
      }};
  EXPECT_EQ(Try(own, options_, &harden), kLanded);
}

TEST_P(HardenTest, TheSystemCallFilterHoldsThreadsThatRunAlready) {
  for (const bool hardened : {false, true}) {
    const int status = RunInChild([&] {
      Result<Client>& client = *new Result<Client>(Connect());
      auto* view = const_cast<std::byte*>(ClientCore::Of(*client)->gate().view());
      std::atomic<bool> go{false};
      int result = kBroken;
      std::thread thread([&] {
        while (!go) std::this_thread::yield();
        result = munmap(view + kSize - kPageSize, kPageSize) == 0 ? kLanded : kStopped;
      });
      const bool well = !hardened || Harden({.system_calls = true, .files = false}).ok();
      go = true;
      thread.join();
      return well ? result : kBroken;
    });
    EXPECT_EQ(status, hardened ? kStopped : kLanded);
  }
}

TEST_P(HardenTest, AClosedClientsAddressesStayReserved) {
  const int status = RunInChild([&] {
    Result<Client> client = Connect();
    Gate::Mappings mappings;
    Gate::WithAll([&](const std::vector<Gate::Mappings>& gates) { mappings = gates.back(); });
    if (!Harden({.system_calls = true, .files = false}).ok()) return kBroken;
    client->Close();
    void* wanted = reinterpret_cast<void*>(mappings.control.begin);
    if (mmap(wanted, kPageSize, kWrite, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == wanted) return kBroken + 1;
    // Another one can come, and be hardened as well.
    Result<Client> next = Connect();
    if (!next.ok() || !Works(*next) || !Harden({.system_calls = true, .files = false}).ok()) return kBroken + 2;
    return Works(*next) && Audit().ok() ? 0 : kBroken + 3;
  });
  EXPECT_EQ(status, 0);
}

TEST_P(HardenTest, LandlockStopsWhatLandsWithoutIt) {
  if (syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION) < 1)
    GTEST_SKIP() << "this kernel has no Landlock";
  const HardenOptions harden{.system_calls = false, .files = true};
  for (const Attack& attack : FileAttacks()) {
    EXPECT_EQ(Try(attack, options_, nullptr), kLanded) << attack.name;
    EXPECT_EQ(Try(attack, options_, &harden), kStopped) << attack.name;
  }
}

TEST_P(HardenTest, LandlockLeavesOtherFilesAlone) {
  if (syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION) < 1)
    GTEST_SKIP() << "this kernel has no Landlock";
  const test::TempFolder folder;
  const HardenOptions harden{.system_calls = false, .files = true};
  const Attack own{"own files", [&](const Target& t) {
                     const bool made = open((folder / "new").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600) >= 0;
                     return made && open(t.path.c_str(), O_RDONLY | O_CLOEXEC) >= 0 && open("/dev/null", O_WRONLY) >= 0;
                   }};
  EXPECT_EQ(Try(own, options_, &harden), kLanded);
}

TEST_P(HardenTest, SealedMappingsStopWhatLandsWithoutIt) {
  if (syscall(kMseal, nullptr, 0, 0) != 0) GTEST_SKIP() << "this kernel has no mseal";
  Options sealed = options_;
  sealed.seal = true;
  for (const Attack& attack : MappingAttacks()) {
    EXPECT_EQ(Try(attack, options_, nullptr), kLanded) << attack.name;
    // In mode mprotect the control mapping is opened and shut by the calls that a seal forbids.
    const bool cannot = GetParam() == Isolation::kMprotect && !attack.on_view;
    const bool guarded = std::string(attack.name) == "MunmapFromBelowTheGuard";
    EXPECT_EQ(Try(attack, sealed, nullptr), cannot && !guarded ? kLanded : kStopped) << attack.name;
  }
}

TEST_P(HardenTest, SealingIsRefusedByNameWhereTheKernelCannot) {
  if (syscall(kMseal, nullptr, 0, 0) == 0) GTEST_SKIP() << "this kernel has mseal: nothing to refuse";
  options_.seal = true;
  EXPECT_EQ(Connect().code(), Code::kUnsupported);
}

// A segment in a memfd is opened by the name that /proc gives it.
TEST_P(HardenTest, ASealedMemfdKeepsItsSize) {
  if (syscall(kMseal, nullptr, 0, 0) != 0) GTEST_SKIP() << "this kernel has no mseal";
  ASSERT_TRUE(Store::Open(name_.name(), options_).ok());
  for (const bool seal : {false, true}) {
    const int status = RunInChild([&] {
      const ScopedFd file(open(name_.path().c_str(), O_RDONLY | O_CLOEXEC));
      const ScopedFd memory(memfd_create("segment", MFD_CLOEXEC | MFD_ALLOW_SEALING));
      std::string bytes(kSize, '\0');
      if (pread(file.get(), bytes.data(), kSize, 0) != static_cast<ssize_t>(kSize)) return kBroken;
      if (pwrite(memory.get(), bytes.data(), kSize, 0) != static_cast<ssize_t>(kSize)) return kBroken;
      Options options = options_;
      options.seal = seal;
      const std::string name = "/proc/self/fd/" + std::to_string(memory.get());
      Result<Client> client = Store::Open(name, options)->Connect();
      if (!client.ok() || !Works(*client)) return kBroken + 1;
      const bool landed = ftruncate(memory.get(), 0) == 0;
      if (!landed && !Works(*client)) return kBroken + 2;
      _exit(landed ? kLanded : kStopped);
    });
    EXPECT_EQ(status, seal ? kStopped : kLanded);
  }
}

}  // namespace
}  // namespace lightning
