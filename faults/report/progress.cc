#include "faults/report/progress.h"

#include <unistd.h>

#include <cstdio>

namespace lightning::faults {

Progress::Progress(std::string part, bool quiet)
    : part_(std::move(part)),
      quiet_(quiet),
      terminal_(isatty(STDERR_FILENO) != 0),
      begin_(Clock::now()),
      next_(begin_ + std::chrono::milliseconds(terminal_ ? 200 : 10'000)) {}

void Progress::Show(const std::string& text) {
  if (!Due()) return;
  next_ = Clock::now() + std::chrono::milliseconds(terminal_ ? 200 : 10'000);
  const double seconds = SecondsSince(begin_);
  if (terminal_) {
    fprintf(stderr, "\r\033[K%s %5.0f s  %s", part_.c_str(), seconds, text.c_str());
  } else {
    fprintf(stderr, "%s %.0f s: %s\n", part_.c_str(), seconds, text.c_str());
  }
  fflush(stderr);
  drawn_ = true;
}

void Progress::Clear() {
  if (terminal_ && drawn_) fputs("\r\033[K", stderr);
  drawn_ = false;
}

}  // namespace lightning::faults
