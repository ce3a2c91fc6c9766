#include "store/segment/segment_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "store/testing/testing.h"

namespace lightning {
namespace {

using test::SmallOptions;
using test::TempFolder;

class SegmentFileTest : public testing::Test {
 protected:
  void WriteFile(const std::string& bytes, off_t at = 0) const {
    const ScopedFd fd(open(path_.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    ASSERT_TRUE(fd.ok());
    ASSERT_EQ(pwrite(fd.get(), bytes.data(), bytes.size(), at), static_cast<ssize_t>(bytes.size()));
  }
  Code OpenCode() const { return OpenSegmentFile(path_).code(); }
  Superblock ReadSuperblock() const {
    Superblock superblock;
    memset(&superblock, 0, sizeof superblock);
    const ScopedFd fd(open(path_.c_str(), O_RDONLY | O_CLOEXEC));
    EXPECT_EQ(pread(fd.get(), &superblock, sizeof superblock, 0), static_cast<ssize_t>(sizeof superblock));
    return superblock;
  }
  void Create() const { ASSERT_TRUE(CreateSegmentFile(path_, SmallOptions()).ok()); }

  const TempFolder folder_;
  const std::string path_ = folder_ / "segment";
};

TEST_F(SegmentFileTest, WhatWasCreatedOpensWithTheSameGeometry) {
  Create();
  const Result<OpenedSegment> opened = OpenSegmentFile(path_);
  ASSERT_TRUE(opened.ok()) << opened.status().ToString();
  const Result<Geometry> expected = Geometry::Compute(SmallOptions());
  ASSERT_TRUE(expected.ok());
  EXPECT_TRUE(opened->geometry == *expected);
}

// A full file system is an error at creation and never a SIGBUS later.
TEST_F(SegmentFileTest, TheFileIsPrivateAndFullyAllocated) {
  Create();
  struct stat info;
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_EQ(info.st_size, static_cast<off_t>(SmallOptions().size));
  EXPECT_GE(info.st_blocks * 512, info.st_size);
  EXPECT_EQ(info.st_nlink, 1u);
  EXPECT_EQ(folder_.files(), 1u) << "no temporary name is left";
}

TEST_F(SegmentFileTest, CreatingTwiceIsRefusedAndChangesNothing) {
  Create();
  const Superblock before = ReadSuperblock();
  EXPECT_EQ(CreateSegmentFile(path_, SmallOptions()).code(), Code::kAlreadyExists);
  const Superblock after = ReadSuperblock();
  EXPECT_EQ(memcmp(&before, &after, sizeof before), 0);
  EXPECT_EQ(folder_.files(), 1u);
}

TEST_F(SegmentFileTest, RacingThreadsMakeOneSegment) {
  for (int round = 0; round < 10; ++round) {
    unlink(path_.c_str());
    std::atomic<int> created{0}, late{0}, ready{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 6; ++i) {
      threads.emplace_back([&] {
        for (++ready; ready < 6;) std::this_thread::yield();
        const Code code = CreateSegmentFile(path_, SmallOptions()).code();
        created += code == Code::kOk;
        late += code == Code::kAlreadyExists;
        EXPECT_EQ(OpenCode(), Code::kOk) << "whoever loses finds a whole segment";
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(created, 1);
    EXPECT_EQ(late, 5);
    EXPECT_EQ(folder_.files(), 1u);
  }
}

TEST_F(SegmentFileTest, RacingProcessesMakeOneSegment) {
  std::vector<pid_t> children;
  int start[2];
  ASSERT_EQ(pipe(start), 0);
  for (int i = 0; i < 6; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      char byte;
      close(start[1]);
      if (read(start[0], &byte, 1) != 0) _exit(3);  // until the parent closes its end
      const Code code = CreateSegmentFile(path_, SmallOptions()).code();
      if (OpenCode() != Code::kOk) _exit(4);
      _exit(code == Code::kOk ? 1 : code == Code::kAlreadyExists ? 0 : 5);
    }
    children.push_back(child);
  }
  close(start[0]);
  close(start[1]);
  int created = 0;
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) <= 1) << status;
    created += WEXITSTATUS(status);
  }
  EXPECT_EQ(created, 1);
  EXPECT_EQ(folder_.files(), 1u);
}

TEST_F(SegmentFileTest, NothingThereIsNoSegment) {
  EXPECT_EQ(OpenCode(), Code::kNoSegment);
  EXPECT_EQ(OpenSegmentFile(folder_ / "no/such/folder").code(), Code::kNoSegment);
  EXPECT_EQ(CreateSegmentFile(folder_ / "no/such/folder", SmallOptions()).code(), Code::kNoSegment);
}

TEST_F(SegmentFileTest, OtherFilesAreRefused) {
  WriteFile("");
  EXPECT_EQ(OpenCode(), Code::kBadFormat);
  WriteFile("#!/bin/sh\necho hello\n");
  EXPECT_EQ(OpenCode(), Code::kBadFormat);
  WriteFile(std::string(1 << 20, '\0'));
  EXPECT_EQ(OpenCode(), Code::kBadFormat) << "zeroes are no superblock";
}

TEST_F(SegmentFileTest, WhatIsNoRegularFileIsRefusedAtOnce) {
  EXPECT_EQ(OpenSegmentFile(folder_.path()).code(), Code::kBadFormat);
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(OpenCode(), Code::kBadFormat) << "and nobody waits for a writer";
  EXPECT_EQ(OpenSegmentFile("/dev/null").code(), Code::kBadFormat);
}

TEST_F(SegmentFileTest, ASymbolicLinkLeadsToItsSegment) {
  Create();
  const std::string link = folder_ / "link";
  ASSERT_EQ(symlink("segment", link.c_str()), 0);
  EXPECT_TRUE(OpenSegmentFile(link).ok());
  EXPECT_EQ(CreateSegmentFile(link, SmallOptions()).code(), Code::kAlreadyExists);
}

TEST_F(SegmentFileTest, OtherFormatVersionsAreNamedAsSuch) {
  for (const uint32_t version : {kFormatVersion - 1, kFormatVersion + 1, 77u}) {
    unlink(path_.c_str());
    Create();
    WriteFile(std::string(reinterpret_cast<const char*>(&version), sizeof version),
              offsetof(Superblock, format_version));
    EXPECT_EQ(OpenCode(), Code::kBadVersion) << version;
  }
}

TEST_F(SegmentFileTest, ATruncatedFileIsNamedAsSuch) {
  Create();
  ASSERT_EQ(truncate(path_.c_str(), static_cast<off_t>(SmallOptions().size - 1)), 0);
  EXPECT_EQ(OpenCode(), Code::kTruncated);
  ASSERT_EQ(truncate(path_.c_str(), 4096), 0);
  EXPECT_EQ(OpenCode(), Code::kTruncated);
  ASSERT_EQ(truncate(path_.c_str(), sizeof(Superblock) - 1), 0);
  EXPECT_EQ(OpenCode(), Code::kBadFormat);
}

TEST_F(SegmentFileTest, EachBitOfTheSuperblockIsChecked) {
  Create();
  const Superblock sound = ReadSuperblock();
  ASSERT_TRUE(CheckSuperblock(sound, sound.size).ok());
  for (size_t bit = 0; bit < 8 * sizeof sound; ++bit) {
    Superblock flipped = sound;
    reinterpret_cast<unsigned char*>(&flipped)[bit / 8] ^= static_cast<unsigned char>(1u << bit % 8);
    EXPECT_FALSE(CheckSuperblock(flipped, ~uint64_t{0}).ok()) << "bit " << bit;
  }
}

TEST_F(SegmentFileTest, RandomBytesAreRefused) {
  for (uint32_t seed = 1; seed <= 200; ++seed) {
    std::mt19937 random(seed);
    std::string bytes(64 * 1024, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    WriteFile(bytes);
    EXPECT_EQ(OpenCode(), Code::kBadFormat) << "seed " << seed;
  }
}

// With the right magic number and version in front, as chance would rarely have it.
TEST_F(SegmentFileTest, RandomBytesBehindAMagicNumberAreRefused) {
  for (uint32_t seed = 1; seed <= 200; ++seed) {
    std::mt19937 random(seed);
    std::string bytes(64 * 1024, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    const uint32_t size = sizeof(Superblock);
    memcpy(bytes.data(), &kMagic, 8);
    memcpy(bytes.data() + 8, &kFormatVersion, 4);
    memcpy(bytes.data() + 12, &size, 4);
    WriteFile(bytes);
    EXPECT_EQ(OpenCode(), Code::kCorrupt) << "seed " << seed;
  }
}

TEST_F(SegmentFileTest, SegmentsOfOneNameHaveDifferentIdsAndSeeds) {
  Options options = SmallOptions();
  options.hash_seed = 0;  // random
  ASSERT_TRUE(CreateSegmentFile(path_, options).ok());
  const Superblock first = ReadSuperblock();
  unlink(path_.c_str());
  ASSERT_TRUE(CreateSegmentFile(path_, options).ok());
  const Superblock second = ReadSuperblock();
  EXPECT_NE(first.segment_id, second.segment_id);
  EXPECT_NE(first.hash_seed, second.hash_seed);
}

TEST(SegmentPathTest, ANameWithoutASlashIsUnderDevShm) {
  EXPECT_EQ(SegmentPath("demo"), "/dev/shm/demo");
  EXPECT_EQ(SegmentPath("./demo"), "./demo");
  EXPECT_EQ(SegmentPath("/tmp/demo"), "/tmp/demo");
}

}  // namespace
}  // namespace lightning
