#include "faults/check/guarded.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <csetjmp>
#include <csignal>

namespace lightning::faults {
namespace {

constexpr std::array kSignals = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGALRM};
sigjmp_buf back;

void Leave(int signal) { siglongjmp(back, signal); }

class Handlers {
 public:
  Handlers() {
    struct sigaction action = {};
    action.sa_handler = Leave;
    for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &action, &before_[i]);
  }
  ~Handlers() {
    alarm(0);
    for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &before_[i], nullptr);
  }
  Handlers(const Handlers&) = delete;
  Handlers& operator=(const Handlers&) = delete;

 private:
  std::array<struct sigaction, kSignals.size()> before_ = {};
};

}  // namespace

std::string Guarded(unsigned seconds, const std::function<std::string()>& body) {
  const Handlers handlers;
  const int signal = sigsetjmp(back, 1);
  if (signal == SIGALRM) return fmt::format("it hangs: nothing came back within {} s", seconds);
  if (signal == SIGABRT) return "an assertion of the store failed (its message stands on stderr)";
  if (signal != 0) return fmt::format("it died by signal {}", signal);
  alarm(seconds);
  return body();
}

void GuardedGoesOn(unsigned seconds) { alarm(seconds); }

}  // namespace lightning::faults
