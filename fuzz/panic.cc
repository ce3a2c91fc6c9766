#include "fuzz/panic.h"

#include <csetjmp>
#include <cstdio>
#include <cstdlib>

#include "faults/sim/allocations.h"
#include "fuzz/support.h"
#include "store/segment/segment.h"

namespace lightning::fuzz {
namespace {

sigjmp_buf back;
bool armed = false;
char message[512];

}  // namespace

std::string UntilPanic(const std::function<void()>& body, MayKeep may_keep) {
  faults::Allocations mine;
  message[0] = '\0';
  {
    const faults::AllocationScope scope(&mine);
    if (sigsetjmp(back, 0) == 0) {
      armed = true;
      body();
    }
    armed = false;
  }
  if (message[0] == '\0' && may_keep == MayKeep::kNothing && mine.count() != 0)
    Fail("memory is not given back: " + std::to_string(mine.count()) + " blocks");
  return message;
}

void LeaveBody(const char* why) {
  snprintf(message, sizeof message, "%s", why);
  if (armed) siglongjmp(back, 1);
  fprintf(stderr, "lightning: the store's state is not sound: %s\n", why);
  abort();
}

}  // namespace lightning::fuzz

namespace lightning {

void Panic(const char* condition, const char* file, int line) {
  char text[512];
  snprintf(text, sizeof text, "%s (%s:%d)", condition, file, line);
  fuzz::LeaveBody(text);
}

}  // namespace lightning
