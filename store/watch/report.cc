#include "store/watch/report.h"

#include <fcntl.h>
#include <unistd.h>
#include <unwind.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace lightning {
namespace {

uint64_t FileOf(const void* code) {
  Dl_info info = {};
  return dladdr(code, &info) != 0 ? reinterpret_cast<uint64_t>(info.dli_fbase) : 0;
}

// Where a deed was done and the calls that led there, of the file that this is in.
struct Callers {
  uint64_t file;
  uint64_t deed;  // an instruction, or where the function that did it returns to
  bool begun = false;
  std::array<uint64_t, 6> found = {};
  size_t count = 0;
};

_Unwind_Reason_Code LookForCallers(_Unwind_Context* frame, void* data) {
  auto& callers = *static_cast<Callers*>(data);
  int interrupted = 0;
  const uint64_t at = _Unwind_GetIPInfo(frame, &interrupted);
  callers.begun = callers.begun || at == callers.deed;  // inside of that are the report itself and its handler
  if (callers.begun && FileOf(reinterpret_cast<const void*>(at)) == callers.file)
    callers.found[callers.count++] = at - callers.file - (interrupted != 0 ? 0 : 1);  // the call, not what follows it
  return callers.count < callers.found.size() ? _URC_NO_REASON : _URC_END_OF_STACK;
}

// As a command that names them, with their lines; nothing where there are none.
int DescribeCallers(uint64_t deed, char* text, size_t size) {
  Dl_info own = {};
  if (dladdr(reinterpret_cast<const void*>(&ReportDeed), &own) == 0) return 0;
  Callers callers{reinterpret_cast<uint64_t>(own.dli_fbase), deed};
  _Unwind_Backtrace(LookForCallers, &callers);
  if (callers.count == 0) return 0;
  int length = snprintf(text, size, "; called from: addr2line -Cfipe %s", own.dli_fname);
  for (size_t i = 0; i < callers.count && length >= 0 && static_cast<size_t>(length) < size; ++i)
    length += snprintf(text + length, size - static_cast<size_t>(length), " 0x%lx",
                       static_cast<unsigned long>(callers.found[i]));
  return length;
}

}  // namespace

void ReportDeed(Deed deed, uint64_t at, const void* caller) {
  constexpr int kMost = 16;  // of a process
  static std::atomic<int> reported = 0;
  if (reported.fetch_add(1) >= kMost) return;
  char text[1024] = "ERROR: inside a window: ";
  size_t size = strlen(text);
  const auto end = [&](int more) { size = std::min(size + static_cast<size_t>(std::max(more, 0)), sizeof text - 2); };
  end(DescribeDeed(deed, at, text + size, sizeof text - size - 1));
  end(DescribeCallers(caller != nullptr ? reinterpret_cast<uint64_t>(caller) : at, text + size,
                      sizeof text - size - 1));
  text[size++] = '\n';
  const char* const reports = getenv("LIGHTNING_WINDOW_REPORTS");
  int fd = STDERR_FILENO;
  if (reports != nullptr) {
    char path[512];
    snprintf(path, sizeof path, "%s.%d", reports, static_cast<int>(getpid()));
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  }
  if (write(fd, text, size) < 0 || reports == nullptr) abort();  // never without a word
  close(fd);
}

}  // namespace lightning
