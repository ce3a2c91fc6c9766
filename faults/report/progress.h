// A line that says how far a long piece of work is: redrawn on a terminal, now and then a plain line otherwise.
#pragma once

#include <chrono>
#include <string>

namespace lightning::faults {

using Clock = std::chrono::steady_clock;
inline double SecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

class Progress {
 public:
  // To stderr, unless `quiet`.
  explicit Progress(std::string part, bool quiet = false);
  ~Progress() { Clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Cheap when it is too early for another line.
  void Show(const std::string& text);
  bool Due() const { return !quiet_ && Clock::now() >= next_; }
  void Clear();

 private:
  const std::string part_;
  const bool quiet_, terminal_;
  const Clock::time_point begin_;
  Clock::time_point next_;
  bool drawn_ = false;
};

}  // namespace lightning::faults
