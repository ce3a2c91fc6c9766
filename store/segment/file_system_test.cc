// Segments on file systems that refuse: read-only, full, without permission. Each case runs in a child that has mounts
// of its own, or another user's rights.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>
#include <string>

#include "store/segment/segment_file.h"
#include "store/testing/testing.h"

namespace lightning {
namespace {

using test::kCannotRun;
using test::RunInChild;
using test::SmallOptions;
using test::TempFolder;

constexpr int kOther = 100;  // exit statuses from here on: the test's own findings; below, a Code

#define SKIP_IF_CANNOT_RUN(status, why) \
  if ((status) == kCannotRun) GTEST_SKIP() << (why)

// A tmpfs of its own over `folder`, of `size` as mount wants it. False where this user may not mount.
bool MountTmpfs(const std::string& folder, const std::string& size) {
  return unshare(CLONE_NEWNS) == 0 && mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         mount("tmpfs", folder.c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0;
}

int AsStatus(Code code) { return static_cast<int>(code); }

TEST(FileSystemTest, OnAReadOnlyOneNothingIsOpenedOrCreated) {
  const TempFolder folder;
  const int status = RunInChild([&] {
    if (!MountTmpfs(folder.path(), "8m")) return kCannotRun;
    if (!CreateSegmentFile(folder / "segment", SmallOptions()).ok()) return kOther;
    if (mount("none", folder.path().c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) != 0) return kCannotRun;
    if (CreateSegmentFile(folder / "another", SmallOptions()).code() != Code::kReadOnly) return kOther + 1;
    return AsStatus(OpenSegmentFile(folder / "segment").code());
  });
  SKIP_IF_CANNOT_RUN(status, "mounting needs root");
  EXPECT_EQ(status, AsStatus(Code::kReadOnly));
}

TEST(FileSystemTest, OnAFullOneCreationFailsAndLeavesNothingBehind) {
  const TempFolder folder;
  const int status = RunInChild([&] {
    if (!MountTmpfs(folder.path(), "512k")) return kCannotRun;
    const Code code = CreateSegmentFile(folder / "segment", SmallOptions()).code();  // 1 MiB
    if (folder.files() != 0) return kOther;
    // All the space is free again: a file of nearly all of it fits.
    const ScopedFd fd(open((folder / "filler").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    if (posix_fallocate(fd.get(), 0, 480 * 1024) != 0) return kOther + 1;
    return AsStatus(code);
  });
  SKIP_IF_CANNOT_RUN(status, "mounting needs root");
  EXPECT_EQ(status, AsStatus(Code::kNoSpace));
}

// Once the segment is made, a file system that fills up later takes nothing from it: no SIGBUS on a first touch.
TEST(FileSystemTest, ASegmentMadeBeforeItWasFullStaysWhole) {
  const TempFolder folder;
  const int status = RunInChild([&] {
    if (!MountTmpfs(folder.path(), "2m")) return kCannotRun;
    Options options = SmallOptions();
    const Result<Store> store = Store::Open(folder / "segment", options);
    if (!store.ok()) return kOther;
    const ScopedFd fd(open((folder / "filler").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    const std::string page(4096, 'x');
    while (write(fd.get(), page.data(), page.size()) > 0) continue;
    Result<Client> client = store->Connect();
    if (!client.ok()) return kOther + 1;
    const Result<Stats> stats = client->GetStats();
    if (!stats.ok()) return kOther + 2;
    const std::string value(stats->largest_free, 'v');  // every page of the heap is touched
    return AsStatus(client->Put("all", value).status().code());
  });
  SKIP_IF_CANNOT_RUN(status, "mounting needs root");
  EXPECT_EQ(status, AsStatus(Code::kOk));
}

class NoPermissionTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "becoming another user needs root";
    ASSERT_EQ(chmod(folder_.path().c_str(), 0755), 0);
    ASSERT_TRUE(CreateSegmentFile(folder_ / "segment", SmallOptions()).ok());
  }
  // The body as user 65534, in a child.
  static int AsNobody(const std::function<int()>& body) {
    return RunInChild([&] { return setgid(65534) == 0 && setuid(65534) == 0 ? body() : kOther; });
  }
  const TempFolder folder_;
};

TEST_F(NoPermissionTest, AnotherUserOpensNothingAndCreatesNothingThere) {
  EXPECT_EQ(AsNobody([&] { return AsStatus(OpenSegmentFile(folder_ / "segment").code()); }),
            AsStatus(Code::kNoPermission));
  EXPECT_EQ(AsNobody([&] { return AsStatus(CreateSegmentFile(folder_ / "mine", SmallOptions()).code()); }),
            AsStatus(Code::kNoPermission));
  EXPECT_EQ(AsNobody([&] { return AsStatus(Store::Open(folder_ / "segment").status().code()); }),
            AsStatus(Code::kNoPermission));
  EXPECT_EQ(AsNobody([&] { return AsStatus(Store::Remove(folder_ / "segment").code()); }),
            AsStatus(Code::kNoPermission));
  EXPECT_EQ(folder_.files(), 1u);
}

TEST_F(NoPermissionTest, RightsToReadAloneAreNotEnough) {
  ASSERT_EQ(chmod((folder_ / "segment").c_str(), 0644), 0);
  EXPECT_EQ(AsNobody([&] { return AsStatus(OpenSegmentFile(folder_ / "segment").code()); }),
            AsStatus(Code::kNoPermission));
}

}  // namespace
}  // namespace lightning
