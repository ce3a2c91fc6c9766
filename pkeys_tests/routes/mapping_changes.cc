// Changes to the control mapping itself, as stray calls to mmap and its kin would make them. A plain store follows.
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "pkeys_tests/routes/arena.h"
#include "store/segment/segment_file.h"

namespace lightning::routes {
namespace {

using Deed = std::function<void()>;

Arena* changing = nullptr;
// A change that fails is one that a seal or a filter forbids.
bool Must(bool done) {
  if (done) return true;
  if (changing->extra() == Extra::kNone) abort();
  changing->Refused(-1);
  return false;
}
ScopedFd File(const Arena& arena) { return ScopedFd(open(arena.path().c_str(), O_RDWR | O_CLOEXEC)); }

// Changes the mapping in an attack; the control goes by the mapping as it was.
template <typename Change>
void After(Arena& arena, const Deed& deed, bool control, Change change) {
  changing = &arena;
  if (!control) change(arena.control(), arena.size());
  deed();
}

void MmapOver(Arena& arena, const Deed& deed, bool control) {
  After(arena, deed, control, [&](std::byte* at, uint64_t size) {
    Must(mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, File(arena).get(), 0) == at);
  });
}
void MmapAnonymousOver(Arena& arena, const Deed& deed, bool control) {
  After(arena, deed, control, [&](std::byte* at, uint64_t size) {
    Must(mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at);
  });
}
void MmapPrivateOver(Arena& arena, const Deed& deed, bool control) {
  After(arena, deed, control, [&](std::byte* at, uint64_t size) {
    Must(mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, File(arena).get(), 0) == at);
  });
}
void MmapOverView(Arena& arena, const Deed& deed, bool control) {
  After(arena, deed, control, [&](std::byte*, uint64_t size) {
    auto* const view = const_cast<std::byte*>(arena.gate().view());
    Must(mmap(view, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, File(arena).get(), 0) == view);
  });
}
void ProtectView(Arena& arena, const Deed& deed, bool control) {
  After(arena, deed, control, [&](std::byte*, uint64_t size) {
    Must(mprotect(const_cast<std::byte*>(arena.gate().view()), size, PROT_READ | PROT_WRITE) == 0);
  });
}
void Munmap(Arena& arena, const Deed& deed, bool control) {
  After(arena, deed, control, [](std::byte* at, uint64_t size) { Must(munmap(at, size) == 0); });
}
// To a place that is known, where the guards of the old one are no more.
void MremapMove(Arena& arena, const Deed& deed, bool control) {
  After(arena, deed, control, [](std::byte* at, uint64_t size) {
    void* const place = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!Must(mremap(at, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, place) == place)) return;
    Must(mremap(place, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, at) == at);  // and back, so that the store meets it
  });
}
void MremapShrinkAndGrow(Arena& arena, const Deed& deed, bool control) {
  After(arena, deed, control, [](std::byte* at, uint64_t size) {
    if (Must(mremap(at, size, size - 4096, 0) == at)) Must(mremap(at, size - 4096, size, 0) == at);
  });
}
// The pages move, and the old place stays: what is read or written there comes from the file anew.
std::byte* Move(Arena& arena, std::byte* at, uint64_t size) {
  void* const place = mremap(at, size, size, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, nullptr);
  if (place == MAP_FAILED) arena.Skip("the kernel refuses MREMAP_DONTUNMAP for shared memory (before Linux 5.13)");
  return static_cast<std::byte*>(place);
}
void MremapDontUnmap(Arena& arena, const Deed& deed, bool control) {
  After(arena, deed, control, [&](std::byte* at, uint64_t size) { Move(arena, at, size); });
}
void MremapDontUnmapNewPlace(Arena& arena, const Deed& deed, bool control) {
  After(arena, deed, control, [&](std::byte* at, uint64_t size) { arena.Redirect(Move(arena, at, size)); });
}
// An old size of zero makes a second mapping of shared memory.
void MremapDuplicate(Arena& arena, const Deed& deed, bool control) {
  After(arena, deed, control, [&](std::byte* at, uint64_t size) {
    void* const place = mremap(at, 0, size, MREMAP_MAYMOVE);
    if (Must(place != MAP_FAILED)) arena.Redirect(static_cast<std::byte*>(place));
  });
}
void MremapDuplicateWritable(Arena& arena, const Deed& deed, bool control) {
  After(arena, deed, control, [&](std::byte* at, uint64_t size) {
    void* const place = mremap(at, 0, size, MREMAP_MAYMOVE);
    if (!Must(place != MAP_FAILED) || !Must(mprotect(place, size, PROT_READ | PROT_WRITE) == 0)) return;
    arena.Redirect(static_cast<std::byte*>(place));
  });
}
// System V shared memory may be attached over whatever is mapped; no filter that looks at mmap sees it.
void ShmOver(Arena& arena, const Deed& deed, bool control) {
  After(arena, deed, control, [&](std::byte* at, uint64_t size) {
    const int id = shmget(IPC_PRIVATE, size, IPC_CREAT | 0600);
    if (id < 0) arena.Skip("the kernel has no System V shared memory, or no more");
    const void* const place = shmat(id, at, SHM_REMAP);
    const int error = errno;
    shmctl(id, IPC_RMID, nullptr);
    errno = error;
    Must(place == at);
  });
}
void MprotectWritable(Arena& arena, const Deed& deed, bool control) {
  After(arena, deed, control,
        [](std::byte* at, uint64_t size) { Must(mprotect(at, size, PROT_READ | PROT_WRITE) == 0); });
}
void MprotectExecutableAndBack(Arena& arena, const Deed& deed, bool control) {
  After(arena, deed, control, [](std::byte* at, uint64_t size) {
    if (Must(mprotect(at, size, PROT_EXEC) == 0)) Must(mprotect(at, size, PROT_READ | PROT_WRITE) == 0);
  });
}
void MprotectNoneAndBack(Arena& arena, const Deed& deed, bool control) {
  After(arena, deed, control, [](std::byte* at, uint64_t size) {
    if (Must(mprotect(at, size, PROT_NONE) == 0)) Must(mprotect(at, size, PROT_READ | PROT_WRITE) == 0);
  });
}
void PkeyMprotectToZero(Arena& arena, const Deed& deed, bool control) {
  After(arena, deed, control,
        [](std::byte* at, uint64_t size) { Must(pkey_mprotect(at, size, PROT_READ | PROT_WRITE, 0) == 0); });
}
void RemapFilePages(Arena& arena, const Deed& deed, bool control) {
  After(arena, deed, control, [&](std::byte* at, uint64_t size) {
    const bool done = syscall(SYS_remap_file_pages, at, size, 0, 0, 0) == 0;
    if (!done && (arena.extra() == Extra::kNone || errno == ENOSYS))
      arena.Skip("the kernel refuses remap_file_pages here");
    Must(done);
  });
}
void Dontneed(Arena& arena, const Deed& deed, bool control) {
  After(arena, deed, control, [](std::byte* at, uint64_t size) { Must(madvise(at, size, MADV_DONTNEED) == 0); });
}
// For private memory only.
void Free(Arena& arena, const Deed& deed, bool control) {
  After(arena, deed, control, [](std::byte* at, uint64_t size) {
    if (madvise(at, size, MADV_FREE) == 0 || errno != EINVAL) abort();
  });
}
void PageOut(Arena& arena, const Deed& deed, bool control) {
  After(arena, deed, control, [&](std::byte* at, uint64_t size) {
    if (madvise(at, size, MADV_PAGEOUT) != 0) arena.Skip("the kernel has no MADV_PAGEOUT (before Linux 5.4)");
  });
}
void Dofork(Arena& arena, const Deed& deed, bool control) {
  After(arena, deed, control, [](std::byte* at, uint64_t size) { Must(madvise(at, size, MADV_DOFORK) == 0); });
}
void GuardUnmapped(Arena& arena, const Deed& deed, bool control) {
  After(arena, deed, control, [](std::byte* at, uint64_t) { Must(munmap(at - 4096, 4096) == 0); });
}
// A page that is gone from the file, filled by whoever watches for faults.
void Userfaultfd(Arena& arena, const Deed& deed, bool control) {
  After(arena, deed, control, [&](std::byte* at, uint64_t size) {
    const ScopedFd fd(static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC)));
    uffdio_api api{UFFD_API, 0, 0};
    if (!fd.ok() && arena.extra() != Extra::kNone) return static_cast<void>(Must(false));
    if (!fd.ok() || ioctl(fd.get(), UFFDIO_API, &api) != 0) arena.Skip("userfaultfd is forbidden here");
    uffdio_register watch{};
    watch.range = {reinterpret_cast<uint64_t>(at), size};
    watch.mode = UFFDIO_REGISTER_MODE_MISSING;
    if (ioctl(fd.get(), UFFDIO_REGISTER, &watch) != 0) arena.Skip("the kernel watches no such mapping");
    const auto page = reinterpret_cast<uint64_t>(arena.row().place->attack(arena)) & ~uint64_t{4095};
    Must(madvise(reinterpret_cast<void*>(page), 4096, MADV_REMOVE) == 0);
    alignas(4096) static std::byte from[4096];
    from[0] = std::byte{0x5A};
    uffdio_copy copy{};
    copy.dst = page;
    copy.src = reinterpret_cast<uint64_t>(from);
    copy.len = 4096;
    Must(ioctl(fd.get(), UFFDIO_COPY, &copy) == 0);
  });
}

constexpr Context kContexts[] = {
    {"mmap_over_it", MmapOver, nullptr, true},
    {"mmap_anonymous_over_it", MmapAnonymousOver, nullptr, true},
    {"mmap_private_over_it", MmapPrivateOver, nullptr, true},
    {"mmap_over_view", MmapOverView, nullptr, true},
    {"mprotect_of_view", ProtectView, nullptr, true},
    {"munmap", Munmap, nullptr, true, false, SEGV_MAPERR},
    {"mremap_move", MremapMove, nullptr, true},
    {"mremap_shrink_and_grow", MremapShrinkAndGrow, nullptr, true},
    {"mremap_dontunmap", MremapDontUnmap, nullptr, true},
    {"mremap_dontunmap_new_place", MremapDontUnmapNewPlace, nullptr, true},
    {"mremap_duplicate", MremapDuplicate, nullptr, true},
    {"mremap_duplicate_made_writable", MremapDuplicateWritable, nullptr, true},
    {"shm_remap_over_it", ShmOver, nullptr, true},
    {"mprotect_writable", MprotectWritable, nullptr, true},
    {"mprotect_exec_and_back", MprotectExecutableAndBack, nullptr, true},
    {"mprotect_none_and_back", MprotectNoneAndBack, nullptr, true},
    {"pkey_mprotect_to_key_0", PkeyMprotectToZero, nullptr, true},
    {"remap_file_pages", RemapFilePages, nullptr, true},
    {"madvise_dontneed", Dontneed, nullptr, true},
    {"madvise_free", Free, nullptr, true},
    {"madvise_pageout", PageOut, nullptr, true},
    {"madvise_dofork", Dofork, nullptr, true},
    {"guard_unmapped", GuardUnmapped, nullptr, true, false, SEGV_MAPERR},
    {"userfaultfd_copy", Userfaultfd, nullptr, true},
};

}  // namespace

std::span<const Context> MappingChanges() { return kContexts; }

}  // namespace lightning::routes
