#include "faults/target/target_host.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <string_view>

namespace lightning::faults {
namespace {

// The words of a line, cut in place: the process is stepped by instruction, and allocates nothing where it need not.
struct Words {
  const char *verb, *first, *second;
};

Words Cut(char* line) {
  const char* found[3] = {"", "", ""};
  char* at = line;
  for (const char*& word : found) {
    word = at;
    at = strchr(at, ' ');
    if (at == nullptr) break;
    *at++ = '\0';
  }
  return {found[0], found[1], found[2]};
}

class Host {
 public:
  Host(const lightning_target& target, const char* directory) : target_(target), directory_(directory) {
    answer_.reserve(1 << 16);
  }

  // The whole answer to one command.
  const std::string& Answer(char* line) {
    answer_.clear();
    const char* error = Do(Cut(line));
    if (error == nullptr) {
      answer_ += "ok\n";
    } else {
      Line("error ", error);
    }
    return answer_;
  }

 private:
  const char* Do(const Words& words) {
    const std::string_view verb = words.verb;
    if (verb == "put") return target_.put(client_, words.first, words.second);
    if (verb == "remove") return target_.remove(client_, words.first);
    if (verb == "attach") return target_.attach(directory_, &client_);
    if (verb == "create") return target_.create(directory_);
    if (verb == "detach") return target_.detach == nullptr ? nullptr : target_.detach(client_);
    if (verb == "recover") return target_.recover == nullptr ? nullptr : target_.recover(client_);
    if (verb == "list") return target_.list(client_, OnItem, this);
    if (verb == "check") return target_.check == nullptr ? nullptr : target_.check(client_, OnViolation, this);
    if (verb == "shared") {
      if (target_.shared != nullptr) target_.shared(directory_, OnShared, this);
      return nullptr;
    }
    if (verb == "name") {
      Line("name ", target_.name);
      return nullptr;
    }
    return "no such command";
  }

  void Line(const char* kind, const char* text) {
    answer_ += kind;
    for (; *text != '\0'; ++text) answer_ += *text == '\n' ? ' ' : *text;
    answer_ += '\n';
  }
  static void OnItem(void* self, const char* key, const char* value) {
    auto* host = static_cast<Host*>(self);
    host->answer_ += "item ";
    host->answer_ += key;
    host->Line(" ", value);
  }
  static void OnViolation(void* self, const char* text) { static_cast<Host*>(self)->Line("violation ", text); }
  static void OnShared(void* self, const char* path) { static_cast<Host*>(self)->Line("shared ", path); }

  const lightning_target& target_;
  const char* directory_;
  void* client_ = nullptr;
  std::string answer_;
};

bool WriteAll(const std::string& text) {
  const char* at = text.data();
  size_t left = text.size();
  while (left > 0) {
    const ssize_t written = write(STDOUT_FILENO, at, left);
    if (written <= 0) return false;
    at += written;
    left -= static_cast<size_t>(written);
  }
  return true;
}

}  // namespace

std::string LoadTarget(const std::string& file, const lightning_target** target) {
  void* library = dlopen(std::filesystem::absolute(file).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return dlerror();
  using Get = const lightning_target* (*)();
  const auto get = reinterpret_cast<Get>(dlsym(library, "lightning_target_get"));
  if (get == nullptr) return file + " exports no lightning_target_get";
  *target = get();
  if (*target == nullptr) return "lightning_target_get gave NULL";
  const lightning_target& t = **target;
  if (t.version != LIGHTNING_TARGET_VERSION || t.struct_size < sizeof(lightning_target))
    return fmt::format("{} is of version {} of the interface, and this program of {}", file, t.version,
                       LIGHTNING_TARGET_VERSION);
  if (t.name == nullptr || t.create == nullptr || t.attach == nullptr || t.put == nullptr || t.remove == nullptr ||
      t.list == nullptr)
    return file + " lacks one of name, create, attach, put, remove, list";
  return "";
}

int RunTargetHost(const lightning_target& target, const std::string& directory) {
  static char line[4096];
  Host host(target, directory.c_str());
  size_t have = 0;
  for (;;) {
    char* end = static_cast<char*>(memchr(line, '\n', have));
    if (end == nullptr) {
      if (have == sizeof line) return 2;
      const ssize_t got = read(STDIN_FILENO, line + have, sizeof line - have);
      if (got <= 0) return got == 0 ? 0 : 2;
      have += static_cast<size_t>(got);
      continue;
    }
    *end = '\0';
    const size_t used = static_cast<size_t>(end - line) + 1;
    if (!WriteAll(host.Answer(line))) return 2;
    memmove(line, line + used, have - used);
    have -= used;
  }
}

}  // namespace lightning::faults
