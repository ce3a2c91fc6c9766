// A client's own stack in the one thread of a simulation (Boost.Context: docs/decisions says why). A fiber may be left
// for ever in the middle, which is how a client is killed: nothing on its stack is unwound.
#pragma once

#include <boost/context/detail/fcontext.hpp>
#include <cstddef>
#include <functional>

namespace lightning::faults {

class Fiber {
 public:
  Fiber();
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Forgets what it was doing, wherever it was, and will run `body`, which must not throw.
  void Start(std::function<void()> body);
  // Until it suspends or its body ends. REQUIRES: started, not done; called from the thread's own stack.
  void Resume();
  // From inside: back to whoever resumed it.
  void Suspend();
  bool done() const { return done_; }

 private:
  static void Enter(boost::context::detail::transfer_t from);
  void Abandon();

  std::byte* memory_ = nullptr;  // guard page, then the stack
  boost::context::detail::fcontext_t self_ = nullptr, caller_ = nullptr;
  std::function<void()> body_;
  bool done_ = true;
  // For the address sanitizer: the stacks that are switched between.
  void* fake_stack_ = nullptr;
  const void* caller_bottom_ = nullptr;
  size_t caller_size_ = 0;
};

}  // namespace lightning::faults
