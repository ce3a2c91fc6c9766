#include "faults/cli/many_seeds.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "faults/cli/output.h"

namespace lightning::faults {
namespace {

namespace fs = std::filesystem;

// -c and not -m: a missing package is a fact of this machine, not a failure that was found.
constexpr char kScript[] = R"(
import sys
try:
    from lightning_faults import ray_campaign
except ImportError as error:
    sys.exit(sys.stderr.write(f"cannot run here: {sys.executable}: {error}; "
                              "pip install ./python from the sources of lightning\n") and 77)
sys.exit(ray_campaign.main())
)";

// The sources' python/, while this program stands in their build/PRESET/bin.
fs::path Root(const fs::path& self) { return self.parent_path().parent_path().parent_path().parent_path(); }

std::string Interpreter(const fs::path& self) {
  if (const char* chosen = getenv("LIGHTNING_PYTHON"); chosen != nullptr && *chosen != '\0') return chosen;
  const fs::path ours = Root(self) / "build/ray-venv/bin/python3";
  return fs::exists(ours) ? ours.string() : "python3";
}

}  // namespace

int BecomeManySeeds(const ManySeeds& many, const std::vector<std::string>& more) {
  const fs::path self = fs::read_symlink("/proc/self/exe");
  if (fs::exists(Root(self) / "python/lightning_faults")) {
    const char* before = getenv("PYTHONPATH");
    const std::string path = (Root(self) / "python").string() + (before != nullptr ? std::string(":") + before : "");
    setenv("PYTHONPATH", path.c_str(), 1);
  }
  std::vector<std::string> words = {Interpreter(self), "-c", kScript, "--program", self.string()};
  if (many.seeds != 0) words.insert(words.end(), {"--seeds", std::to_string(many.seeds)});
  if (many.schedules != 0) words.insert(words.end(), {"--schedules", std::to_string(many.schedules)});
  if (!many.ray.empty()) words.insert(words.end(), {"--ray", many.ray, "--tasks", std::to_string(many.tasks)});
  words.insert(words.end(), more.begin(), more.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  execvp(argv[0], argv.data());
  return CannotRun(fmt::format("{}: {}", words[0], strerror(errno)));
}

}  // namespace lightning::faults
