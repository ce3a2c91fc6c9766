// Every file of fuzz/corpus and fuzz/regressions, before the same targets that the fuzzer drives, without one: a
// regression that ci/fuzz adopted is a test here under its name.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
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

void Replay(Target target, const fs::path& file) {
  SCOPED_TRACE(file.string());
  std::ifstream in(file, std::ios::binary);
  ASSERT_TRUE(in.good());
  const std::vector<char> bytes{std::istreambuf_iterator<char>(in), {}};
  // A copy that is exactly as long, which a sanitizer watches.
  EXPECT_EQ(target(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()), 0);
}

// Registered by name: Regression.TARGET/NAME and Corpus.TARGET. In a child: a target that fails ends its process, and
// the tests behind it go on.
class ReplayTest : public testing::Test {
 public:
  ReplayTest(Target target, std::vector<fs::path> files) : target_(target), files_(std::move(files)) {}
  void TestBody() override {
    ASSERT_FALSE(files_.empty()) << "a target without a corpus is never replayed";
    EXPECT_EXIT(ReplayAll(), testing::ExitedWithCode(0), "");
  }

 private:
  [[noreturn]] void ReplayAll() const {
    for (const fs::path& file : files_) Replay(target_, file);
    fflush(nullptr);
    _exit(HasFailure() ? 1 : 0);
  }

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

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  lightning::fuzz::RegisterAll();
  return RUN_ALL_TESTS();
}
