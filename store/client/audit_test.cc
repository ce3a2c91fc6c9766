// What an audit finds, planted one by one in a child each; and what attaching does about a breach.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>

#include "store/client/core.h"
#include "store/gate/process_maps.h"
#include "store/testing/isolated_segment.h"
#include "store/testing/mappings.h"

namespace lightning {
namespace {

using test::Note;
using test::RunInChild;
using test::told;

constexpr int kNotFound = 60, kBroken = 61;  // of a child

class AuditTest : public test::IsolatedSegment {
 protected:
  struct Places {
    uint64_t control = 0, view = 0;
  };
  static Places PlacesOf(const Client& client) {
    Places places;
    places.view = reinterpret_cast<uint64_t>(ClientCore::Of(client)->gate().view());
    Gate::WithAll([&](const std::vector<Gate::Mappings>& gates) { places.control = gates.back().control.begin; });
    return places;
  }
  static void* At(uint64_t address) { return reinterpret_cast<void*>(address); }

  // What the audit says after `damage` in a child, as the number of the breach; 0 for nothing.
  template <typename Damage>
  int FoundAfter(Damage damage) const {
    return RunInChild([&] {
      auto* client = new Result<Client>(Connect());  // it does not detach from what is damaged then
      if (!client->ok() || !Audit().ok()) return kBroken;
      if (!damage(**client)) return kNotFound;
      const AuditReport report = Audit();
      return report.ok() ? 0 : static_cast<int>(report.findings.front().breach);
    });
  }
  static int Is(Breach breach) { return static_cast<int>(breach); }
};
INSTANTIATE_TEST_SUITE_P(Modes, AuditTest, testing::Values(Isolation::kKeys, Isolation::kMprotect, Isolation::kHidden),
                         [](const auto& mode) { return IsolationName(mode.param); });

TEST_P(AuditTest, AllIsWellAroundClientsThatWork) {
  Result<Client> client = Connect(), other = Connect();
  std::atomic<bool> stop{false};
  std::thread worker([&] {
    for (int i = 0; !stop; ++i) {
      static_cast<void>(other->Put(std::to_string(i % 20), std::string(200, 'x')).ok());
      Result<Writer> writer = other->Create("large", 70'000);
      if (writer.ok()) static_cast<void>(writer->Abort().ok());
    }
  });
  for (int i = 0; i < 50; ++i) {
    const AuditReport report = Audit();
    EXPECT_EQ(report.clients, 2u);
    EXPECT_TRUE(report.ok()) << report.findings.front().message;
  }
  stop = true;
  worker.join();
  Result<Writer> writer = client->Create("large", 70'000);
  ASSERT_TRUE(writer.ok());
  EXPECT_TRUE(Audit().ok()) << "while pages are exposed";
  other->Close();
  EXPECT_EQ(Audit().clients, 1u);
}

TEST_P(AuditTest, AnAliasIsFoundAndItsEndToo) {
  EXPECT_EQ(FoundAfter([&](Client&) {
              const ScopedFd fd(open(name_.path().c_str(), O_RDWR | O_CLOEXEC));
              return mmap(nullptr, kPageSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), kPageSize) != MAP_FAILED;
            }),
            Is(Breach::kAlias));
  EXPECT_EQ(FoundAfter([&](Client&) {
              const ScopedFd fd(open(name_.path().c_str(), O_RDWR | O_CLOEXEC));
              void* alias = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
              return munmap(alias, kSize) == 0;
            }),
            0);
}

TEST_P(AuditTest, MappingsThatCannotHarmAreNoFindings) {
  EXPECT_EQ(FoundAfter([&](Client&) {
              const ScopedFd fd(open(name_.path().c_str(), O_RDWR | O_CLOEXEC));
              return mmap(nullptr, kSize, PROT_READ, MAP_SHARED, fd.get(), 0) != MAP_FAILED &&
                     mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd.get(), 0) != MAP_FAILED;
            }),
            0);
}

TEST_P(AuditTest, ExposedPagesThatStayAreAnAlias) {
  EXPECT_EQ(FoundAfter([&](Client& client) {
              Result<Writer> writer = client.Create("large", 70'000);
              void* copy = mremap(writer->Writable().data(), 0, kPageSize, MREMAP_MAYMOVE);
              return copy != MAP_FAILED && writer->Seal().ok();
            }),
            Is(Breach::kAlias));
}

TEST_P(AuditTest, OtherPermissionsAreFound) {
  EXPECT_EQ(FoundAfter([&](Client& client) {
              return mprotect(At(PlacesOf(client).view), kPageSize, PROT_READ | PROT_WRITE) == 0;
            }),
            Is(Breach::kPermissions));
  const int other = GetParam() == Isolation::kMprotect ? PROT_READ | PROT_WRITE : PROT_READ;
  EXPECT_EQ(FoundAfter([&](Client& client) {
              return mprotect(At(PlacesOf(client).control + kPageSize), kPageSize, other) == 0;
            }),
            Is(Breach::kPermissions));
}

TEST_P(AuditTest, WhatIsGoneOrReplacedIsFound) {
  for (const bool of_view : {false, true}) {
    const auto place = [&](Client& client) {
      const Places places = PlacesOf(client);
      return At((of_view ? places.view : places.control) + 4 * kPageSize);
    };
    EXPECT_EQ(FoundAfter([&](Client& client) { return munmap(place(client), kPageSize) == 0; }), Is(Breach::kMissing));
    EXPECT_EQ(FoundAfter([&](Client& client) {
                constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
                return mmap(place(client), kPageSize, PROT_READ, kFlags, -1, 0) != MAP_FAILED;
              }),
              Is(Breach::kMissing));
    EXPECT_EQ(FoundAfter([&](Client& client) {
                return mremap(place(client), kPageSize, kPageSize, MREMAP_MAYMOVE | MREMAP_FIXED,
                              At(PlacesOf(client).view + kSize / 2)) != MAP_FAILED;
              }),
              Is(Breach::kMissing));
  }
}

TEST_P(AuditTest, AGuardThatIsGoneOrAccessibleIsFound) {
  for (const uint64_t at : {uint64_t{0} - kPageSize, kSize}) {
    EXPECT_EQ(FoundAfter([&](Client& client) {
                return mprotect(At(PlacesOf(client).control + at), kPageSize, PROT_READ | PROT_WRITE) == 0;
              }),
              Is(Breach::kGuard));
    EXPECT_EQ(FoundAfter([&](Client& client) { return munmap(At(PlacesOf(client).control + at), kPageSize) == 0; }),
              Is(Breach::kGuard));
  }
  EXPECT_EQ(FoundAfter([&](Client& client) {
              Result<Writer> writer = client.Create("large", 70'000);
              return munmap(writer->Writable().data() - kPageSize, kPageSize) == 0 && !Audit().ok();
            }),
            0)
      << "of exposed pages too, for as long as they are";
}

TEST_P(AuditTest, AControlMappingThatAChildWouldInheritIsFound) {
  EXPECT_EQ(
      FoundAfter([&](Client& client) { return madvise(At(PlacesOf(client).control), kPageSize, MADV_DOFORK) == 0; }),
      Is(Breach::kInherited));
}

// Where there is a key to lose.
class KeysAuditTest : public AuditTest {};
INSTANTIATE_TEST_SUITE_P(Keys, KeysAuditTest, testing::Values(Isolation::kKeys));

TEST_P(KeysAuditTest, ALostKeyIsFound) {
  constexpr int kWrite = PROT_READ | PROT_WRITE;
  EXPECT_EQ(FoundAfter(
                [&](Client& client) { return pkey_mprotect(At(PlacesOf(client).control), kPageSize, kWrite, 0) == 0; }),
            Is(Breach::kLostKey));
  EXPECT_EQ(FoundAfter([&](Client& client) {
              void* page = At(PlacesOf(client).control);
              return mprotect(page, kPageSize, PROT_EXEC) == 0 && mprotect(page, kPageSize, kWrite) == 0;
            }),
            Is(Breach::kLostKey));
  EXPECT_EQ(FoundAfter([&](Client&) {
              int key = -1;
              Gate::WithAll([&](const std::vector<Gate::Mappings>& gates) { key = gates.back().key; });
              return pkey_free(key) == 0;
            }),
            Is(Breach::kLostKey));
}

TEST_P(AuditTest, AFindingSaysWhereItIsAndWhatToDo) {
  Result<Client> client = Connect();
  const ScopedFd fd(open(name_.path().c_str(), O_RDWR | O_CLOEXEC));
  void* alias = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  const AuditReport report = Audit();
  munmap(alias, kSize);
  ASSERT_EQ(report.findings.size(), 1u);
  EXPECT_EQ(report.findings[0].begin, reinterpret_cast<uint64_t>(alias));
  EXPECT_EQ(report.findings[0].message.substr(0, 9), "alias at ");
  EXPECT_NE(report.findings[0].message.find("unmap it"), std::string::npos);
}

// --- At attach

TEST_P(AuditTest, AttachingBesideAnAliasEndsTheProcessUnlessAHandlerIsSet) {
  ASSERT_TRUE(Connect().ok());
  const auto attach = [&](bool handled, bool audit, Isolation isolation) {
    return RunInChild([&] {
      const ScopedFd fd(open(name_.path().c_str(), O_RDWR | O_CLOEXEC));
      if (mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0) == MAP_FAILED) return kBroken;
      if (handled) SetBreachHandler({Note, nullptr});
      fclose(stderr);
      Options options = options_;
      options.audit = audit;
      options.isolation = isolation;
      const Result<Client> client = Store::Open(name_.name(), options)->Connect();
      if (client.ok()) return 0;
      return client.code() == Code::kIsolationBroken && told.times == 1 && told.last == Breach::kAlias ? 1 : kBroken;
    });
  };
  EXPECT_EQ(attach(false, true, GetParam()), -SIGABRT);
  EXPECT_EQ(attach(true, true, GetParam()), 1);
  EXPECT_EQ(attach(false, false, GetParam()), 0) << "not when the audit is not wanted";
  EXPECT_EQ(attach(false, true, Isolation::kNone), 0) << "nor where there is no isolation to lose";
  Result<Client> client = Connect();
  EXPECT_EQ(client->GetStats()->clients, 1u) << "a refused client leaves no slot behind";
}

// A process without a standard error: what the store says when it ends must not land in the segment.
TEST_P(KeysAuditTest, AttachingBesideAClientThatHasLostTheKeyEndsTheProcessUnlessAHandlerIsSet) {
  const auto attach = [&](bool lost, bool handled) {
    return RunInChild([&] {
      auto* client = new Result<Client>(Connect());
      if (!client->ok()) return kBroken;
      const Places places = PlacesOf(**client);
      if (lost && pkey_mprotect(At(places.control), kPageSize, PROT_READ | PROT_WRITE, 0) != 0) return kBroken;
      if (handled) SetBreachHandler({Note, nullptr});
      fclose(stderr);
      const Result<Client> second = Connect();
      if (!second.ok()) return second.code() == Code::kIsolationBroken && told.last == Breach::kLostKey ? 1 : kBroken;
      return 0;
    });
  };
  EXPECT_EQ(attach(false, false), 0);
  EXPECT_EQ(attach(true, false), -SIGABRT);
  EXPECT_EQ(attach(true, true), 1);
}

TEST_P(AuditTest, TheLastWordsOfAProcessAreNotWrittenIntoTheSegment) {
  ASSERT_TRUE(Connect().ok());
  const int status = RunInChild([&] {
    const ScopedFd fd(open(name_.path().c_str(), O_RDWR | O_CLOEXEC));
    if (mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0) == MAP_FAILED) return kBroken;
    for (const int standard : {0, 1, 2}) close(standard);
    return Connect().ok() ? 0 : kBroken;
  });
  EXPECT_EQ(status, -SIGABRT);
  EXPECT_EQ(test::Violations(Store::Check(name_.name())), "");
}

// --- Descriptors

// Of this process, and of the file at `path`: those that can be written to.
int WritableDescriptors(const std::string& path) {
  struct stat file, its;
  EXPECT_EQ(stat(path.c_str(), &file), 0);
  int writable = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    const int fd = std::stoi(entry.path().filename());
    if (fstat(fd, &its) != 0 || its.st_dev != file.st_dev || its.st_ino != file.st_ino) continue;
    writable += (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY;
  }
  return writable;
}

TEST_P(AuditTest, AClientKeepsNoDescriptorThroughWhichTheSegmentCouldBeWritten) {
  Result<Client> client = Connect(), other = Connect();
  ASSERT_TRUE(client->Put("key", "value").ok() && other->Recover().ok());
  Result<Writer> writer = client->Create("large", 70'000);
  ASSERT_TRUE(writer.ok());
  EXPECT_EQ(WritableDescriptors(name_.path()), 0);
  for (const int mode : {O_RDWR, O_WRONLY}) {
    const ScopedFd own(open(name_.path().c_str(), mode | O_CLOEXEC));
    EXPECT_EQ(WritableDescriptors(name_.path()), 1) << "one that there is would be seen";
  }
  const ScopedFd reading(open(name_.path().c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(WritableDescriptors(name_.path()), 0);
}

TEST_P(AuditTest, TheHandlerBeforeComesBack) {
  const BreachHandling before = SetBreachHandler({Note, &told});
  EXPECT_EQ(before.handler, nullptr);
  const BreachHandling ours = SetBreachHandler(before);
  EXPECT_EQ(ours.handler, Note);
  EXPECT_EQ(ours.context, &told);
}

}  // namespace
}  // namespace lightning
