// Every file of fuzz/corpus and fuzz/regressions, before the same targets that the fuzzer drives, without one: a
// regression that ci/fuzz adopted is a test here under its name.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include "fuzz/support.h"

namespace lightning::fuzz {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> FilesUnder(const std::string& folder, const std::string& target) {
  std::vector<fs::path> files;
  const fs::path root = fs::path(LIGHTNING_SOURCE_DIR) / "fuzz" / folder / target;
  if (!fs::exists(root)) return files;
  for (const auto& entry : fs::directory_iterator(root)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// Else nobody would ever replay what is in it.
TEST(FolderTest, EachIsNamedAfterATarget) {
  std::istringstream in(LIGHTNING_FUZZ_TARGETS);
  const std::set<std::string> names{std::istream_iterator<std::string>(in), {}};
  for (const auto& [name, target] : Targets()) EXPECT_TRUE(names.contains(name)) << name;
  for (const std::string folder : {"corpus", "regressions"}) {
    for (const auto& entry : fs::directory_iterator(fs::path(LIGHTNING_SOURCE_DIR) / "fuzz" / folder)) {
      EXPECT_TRUE(entry.is_directory() && names.contains(entry.path().filename().string())) << entry.path();
    }
  }
}

bool Replay(Target target, const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in.good()) return false;
  // A copy that is exactly as long, which a sanitizer watches.
  const std::vector<char> bytes{std::istreambuf_iterator<char>(in), {}};
  return target(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()) == 0;
}

// Registered by name: Regression.TARGET/NAME and Corpus.TARGET. Each in a process of its own, since a target that finds
// something ends its process: the tests behind it run all the same.
class ReplayTest : public testing::Test {
 public:
  ReplayTest(Target target, std::vector<fs::path> files) : target_(target), files_(std::move(files)) {}
  void TestBody() override {
    ASSERT_FALSE(files_.empty()) << "a target without a corpus is never replayed";
    void* const shared = mmap(nullptr, sizeof(size_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(shared, MAP_FAILED);
    auto* const replayed = static_cast<volatile size_t*>(shared);
    fflush(nullptr);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      while (*replayed < files_.size() && Replay(target_, files_[*replayed])) *replayed = *replayed + 1;
      exit(*replayed == files_.size() ? 0 : 1);  // as a program ends, so that a sanitizer looks for leaks
    }
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    const size_t at = *replayed;
    munmap(shared, sizeof(size_t));
    if (at < files_.size()) FAIL() << files_[at] << ": wait status " << status;
    EXPECT_EQ(status, 0) << "after the last file";
  }

 private:
  const Target target_;
  const std::vector<fs::path> files_;
};

void RegisterAll() {
  const auto add = [](const char* suite, const std::string& name, Target target, const std::vector<fs::path>& files) {
    testing::RegisterTest(suite, name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
                          [=]() -> testing::Test* { return new ReplayTest(target, files); });
  };
  for (const auto& [name, target] : Targets()) {
    add("Corpus", name, target, FilesUnder("corpus", name));
    for (const fs::path& file : FilesUnder("regressions", name))
      add("Regression", name + "/" + file.filename().string(), target, {file});
  }
}

}  // namespace
}  // namespace lightning::fuzz

// Also, without a test: --replay TARGET FILE...
int main(int argc, char** argv) {
  if (argc > 3 && std::string_view(argv[1]) == "--replay") {
    const auto found = lightning::fuzz::Targets().find(argv[2]);
    if (found == lightning::fuzz::Targets().end()) return 2;
    return std::all_of(argv + 3, argv + argc,
                       [&](const char* file) { return lightning::fuzz::Replay(found->second, file); })
               ? 0
               : 1;
  }
  testing::InitGoogleTest(&argc, argv);
  lightning::fuzz::RegisterAll();
  return RUN_ALL_TESTS();
}
