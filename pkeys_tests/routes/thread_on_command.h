// A thread that does as it is told, for what must happen in one that is older than something.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

namespace lightning::routes {

class ThreadOnCommand {
 public:
  ThreadOnCommand() : thread_([this] { Work(); }) {}
  ~ThreadOnCommand() {
    Do({});
    thread_.join();
  }
  ThreadOnCommand(const ThreadOnCommand&) = delete;
  ThreadOnCommand& operator=(const ThreadOnCommand&) = delete;

  // Comes back when the task is done. An empty one ends the thread.
  void Do(std::function<void()> task) {
    std::unique_lock lock(mutex_);
    task_ = std::move(task);
    busy_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return !busy_; });
  }

 private:
  void Work() {
    for (bool more = true; more;) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return busy_; });
      more = task_ != nullptr;
      if (more) task_();
      busy_ = false;
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> task_;
  bool busy_ = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace lightning::routes
