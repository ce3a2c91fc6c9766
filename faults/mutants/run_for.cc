#include "faults/mutants/run_for.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <sstream>

#include "faults/report/progress.h"

namespace lightning::faults {

std::string ReadWholeFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

RunOutcome RunFor(const std::vector<std::string>& command, const std::string& log, double seconds) {
  std::vector<char*> argv;
  for (const std::string& argument : command) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    setpgid(0, 0);
    const int fd = open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    execv(argv[0], argv.data());
    _exit(127);
  }
  RunOutcome outcome;
  const Clock::time_point begin = Clock::now();
  int status = 0;
  while (waitpid(pid, &status, WNOHANG) == 0) {
    if (SecondsSince(begin) > seconds) {
      kill(-pid, SIGKILL);
      waitpid(pid, &status, 0);
      outcome.late = true;
      break;
    }
    usleep(20'000);
  }
  outcome.seconds = SecondsSince(begin);
  if (outcome.late) return outcome;
  kill(-pid, SIGKILL);  // what it may have left behind
  if (WIFEXITED(status)) outcome.status = WEXITSTATUS(status);
  return outcome;
}

}  // namespace lightning::faults
