// Whether the address sanitizer is in this build, and its marks of memory that nobody may use; nothing in other builds.
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#define LIGHTNING_ADDRESS_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LIGHTNING_ADDRESS_SANITIZER
#endif
#endif

#ifdef LIGHTNING_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(data, size) (static_cast<void>(data), static_cast<void>(size))
#define ASAN_UNPOISON_MEMORY_REGION(data, size) (static_cast<void>(data), static_cast<void>(size))
#endif
