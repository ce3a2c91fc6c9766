// What the store itself is asked to write: out parameters that went astray. Operations fill them when their window is
// closed, so that they have no more rights there than their caller.
#include <fcntl.h>
#include <sys/mman.h>

#include <cstdlib>

#include "lightning/c.h"
#include "pkeys_tests/routes/arena.h"
#include "store/segment/segment_file.h"

namespace lightning::routes {
namespace {

// As a control, at the same bytes of the file by a mapping that may be written: in a window of this thread no operation
// may begin.
void OutParameter(Arena& arena, std::byte* at) {
  if (arena.controlling()) {
    const ScopedFd file(open(arena.path().c_str(), O_RDWR | O_CLOEXEC));
    void* const place = mmap(nullptr, arena.size(), PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    if (place == MAP_FAILED) abort();
    at = static_cast<std::byte*>(place) + (at - arena.control());
  }
  lightning_options options;
  lightning_options_init(&options);
  options.mode = LIGHTNING_OPEN;
  options.isolation = static_cast<int32_t>(arena.mode());
  options.audit = false;
  lightning_client* client = nullptr;
  if (lightning_open(arena.path().c_str(), &options, &client) != LIGHTNING_OK) abort();
  arena.Settle();
  lightning_stats(client, reinterpret_cast<lightning_stats_result*>(at));
}

constexpr Act kActs[] = {
    {"out_parameter_of_stats", Sign::kFault, OutParameter, sizeof(lightning_stats_result), 8, 0, nullptr, true, true},
};

}  // namespace

std::span<const Act> OwnWrites() { return kActs; }

}  // namespace lightning::routes
