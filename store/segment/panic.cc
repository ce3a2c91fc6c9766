#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "store/segment/segment.h"
#include "store/segment/window_watch.h"

namespace lightning {

void Panic(const char* condition, const char* file, int line) {
  WindowCloses();
  char text[512];
  const int size = snprintf(text, sizeof text,
                            "lightning: the store's state is not sound: %s (%s:%d). Other clients recover what this "
                            "one held; run `lightning-store check` on the segment and report what it says.\n",
                            condition, file, line);
  if (size > 0) {
    const ssize_t ignored = write(STDERR_FILENO, text, static_cast<size_t>(size));
    static_cast<void>(ignored);
  }
  abort();
}

}  // namespace lightning
