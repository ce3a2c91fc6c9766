#include "faults/sim/fiber.h"

#include <sys/mman.h>

#include "store/segment/address_sanitizer.h"
#include "store/segment/segment.h"

#ifdef LIGHTNING_ADDRESS_SANITIZER
#include <sanitizer/common_interface_defs.h>
#endif

namespace lightning::faults {
namespace {

constexpr size_t kGuard = 4096;
constexpr size_t kStack = 256 * 1024;

// The sanitizer is told before each switch, and again on the other side of it.
void StartSwitch([[maybe_unused]] void** fake, [[maybe_unused]] const void* bottom, [[maybe_unused]] size_t size) {
#ifdef LIGHTNING_ADDRESS_SANITIZER
  __sanitizer_start_switch_fiber(fake, bottom, size);
#endif
}
void FinishSwitch([[maybe_unused]] void* fake, [[maybe_unused]] const void** bottom, [[maybe_unused]] size_t* size) {
#ifdef LIGHTNING_ADDRESS_SANITIZER
  __sanitizer_finish_switch_fiber(fake, bottom, size);
#endif
}

}  // namespace

Fiber::Fiber() {
  void* memory = mmap(nullptr, kGuard + kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  LIGHTNING_ASSERT(memory != MAP_FAILED);
  memory_ = static_cast<std::byte*>(memory);
  LIGHTNING_ASSERT(mprotect(memory_, kGuard, PROT_NONE) == 0);
}

Fiber::~Fiber() {
  Abandon();
  munmap(memory_, kGuard + kStack);
}

void Fiber::Enter(boost::context::detail::transfer_t from) {
  Fiber& fiber = *static_cast<Fiber*>(from.data);
  fiber.caller_ = from.fctx;
  FinishSwitch(nullptr, &fiber.caller_bottom_, &fiber.caller_size_);
  fiber.body_();
  fiber.done_ = true;
  StartSwitch(nullptr, fiber.caller_bottom_, fiber.caller_size_);  // null: this stack is not come back to
  boost::context::detail::jump_fcontext(fiber.caller_, nullptr);
  __builtin_unreachable();
}

// From where it stands to the beginning of the stack: all that has returned cleaned up behind itself. Of a body that
// has ended that is Enter, which never returns; the memory may be another's soon.
void Fiber::Abandon() {
  if (self_ == nullptr) return;
  const auto* const stands = static_cast<const std::byte*>(self_);
  ASAN_UNPOISON_MEMORY_REGION(stands, static_cast<size_t>(memory_ + kGuard + kStack - stands));
}

void Fiber::Start(std::function<void()> body) {
  Abandon();
  body_ = std::move(body);
  done_ = false;
  fake_stack_ = nullptr;
  self_ = boost::context::detail::make_fcontext(memory_ + kGuard + kStack, kStack, Enter);
}

void Fiber::Resume() {
  void* mine = nullptr;
  StartSwitch(&mine, memory_ + kGuard, kStack);
  const boost::context::detail::transfer_t back = boost::context::detail::jump_fcontext(self_, this);
  FinishSwitch(mine, nullptr, nullptr);
  self_ = back.fctx;
}

void Fiber::Suspend() {
  StartSwitch(&fake_stack_, caller_bottom_, caller_size_);
  const boost::context::detail::transfer_t back = boost::context::detail::jump_fcontext(caller_, nullptr);
  FinishSwitch(fake_stack_, &caller_bottom_, &caller_size_);
  caller_ = back.fctx;
}

}  // namespace lightning::faults
