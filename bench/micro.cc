#include "bench/micro.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

#include "bench/shared_area.h"

namespace lightning::bench {

std::vector<ModeClient> ConnectModes(const Settings& settings, const std::string& path, std::string* absent,
                                     std::string* error) {
  std::vector<Isolation> modes = {settings.mode};
  for (const Isolation mode : {Isolation::kNone, Isolation::kMprotect, Isolation::kKeys, Isolation::kHidden}) {
    if (mode != settings.mode) modes.push_back(mode);
  }
  std::vector<ModeClient> clients;
  for (const Isolation mode : modes) {
    const auto store = Store::Open(path, Attach(mode, true));
    if (!store.ok()) {
      *error = std::string("open in mode ") + IsolationName(mode) + ": " + store.status().ToString();
      return clients;
    }
    auto client = store->Connect();
    if (client.ok()) {
      clients.push_back({mode, *std::move(client)});
    } else if (client.code() == Code::kUnsupported && mode != settings.mode) {
      *absent += std::string(absent->empty() ? "" : ", ") + IsolationName(mode);
    } else {
      *error = std::string("connect in mode ") + IsolationName(mode) + ": " + client.status().ToString();
      return clients;
    }
  }
  return clients;
}

std::string LoadElsewhere(const std::string& path, const Options& options, const std::function<Status(Client*)>& load) {
  int ends[2];
  if (pipe(ends) != 0) return "pipe failed";
  std::fflush(nullptr);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) {
    DieWithParent(parent);
    Status status;
    {
      const auto store = Store::Open(path, options);
      if (store.ok()) {
        auto client = store->Connect();
        status = client.ok() ? load(&*client) : client.status();
      } else {
        status = store.status();
      }
    }
    const std::string text = status.ok() ? "" : "load: " + status.ToString();
    const ssize_t written = write(ends[1], text.data(), text.size());
    _exit(written == static_cast<ssize_t>(text.size()) ? 0 : 1);
  }
  close(ends[1]);
  std::string error;
  char buffer[512];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) error.append(buffer, static_cast<size_t>(n));
  close(ends[0]);
  int status = 1 << 8;
  if (pid > 0) waitpid(pid, &status, 0);
  if (error.empty() && status != 0) error = "the loading process failed";
  return error;
}

}  // namespace lightning::bench
