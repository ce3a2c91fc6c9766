#include "faults/engine/shared_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "faults/engine/looks.h"
#include "store/segment/layout.h"

namespace lightning::faults {
namespace {

constexpr size_t kMost = size_t{256} << 20;  // bytes of all files together

std::vector<std::string> FilesBelow(const std::string& directory) {
  std::vector<std::string> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory, error))
    if (entry.is_regular_file(error)) found.push_back(entry.path().string());
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace

SharedFiles::SharedFiles(std::string directory, std::vector<std::string> listed)
    : directory_(std::move(directory)), listed_(std::move(listed)) {
  LookAtAll();
}

SharedFiles::~SharedFiles() {
  for (const File& file : files_)
    if (file.view != nullptr) munmap(const_cast<std::byte*>(file.view), file.size);
}

// Whether there are other files than before, or others in their place.
bool SharedFiles::Reopen() {
  std::vector<std::string> paths;
  std::vector<struct stat> facts;
  for (const std::string& path : listed_.empty() ? FilesBelow(directory_) : listed_) {
    struct stat fact;
    if (stat(path.c_str(), &fact) != 0) continue;
    paths.push_back(path);
    facts.push_back(fact);
  }
  bool same = paths.size() == files_.size();
  for (size_t i = 0; same && i < paths.size(); ++i)
    same = paths[i] == files_[i].path && facts[i].st_dev == files_[i].device && facts[i].st_ino == files_[i].inode &&
           static_cast<size_t>(facts[i].st_size) == files_[i].size;
  if (same) return false;
  for (const File& file : files_)
    if (file.view != nullptr) munmap(const_cast<std::byte*>(file.view), file.size);
  files_.clear();
  size_t total = 0;
  for (size_t i = 0; i < paths.size(); ++i) {
    File file{paths[i], facts[i].st_dev, facts[i].st_ino, static_cast<size_t>(facts[i].st_size), nullptr, {}, {}};
    total += file.size;
    if (total > kMost) {
      error_ = fmt::format("the shared files are larger than {} MiB: make the store smaller", kMost >> 20);
      break;
    }
    if (file.size > 0) {
      const int handle = open(file.path.c_str(), O_RDONLY | O_CLOEXEC);
      void* view = mmap(nullptr, file.size, PROT_READ, MAP_SHARED, handle, 0);
      close(handle);
      if (view == MAP_FAILED) {
        error_ = fmt::format("cannot map {}: {}", file.path, strerror(errno));
        break;
      }
      file.view = static_cast<const std::byte*>(view);
      file.shadow.resize(file.size);
      file.pages.assign((file.size + kPageSize - 1) / kPageSize, 0);
    }
    files_.push_back(std::move(file));
    // A page of zeros hashes to something else than 0: every page is made new.
    File& last = files_.back();
    for (size_t page = 0; page < last.pages.size(); ++page)
      last.pages[page] =
          XXH3_64bits(last.shadow.data() + page * kPageSize, std::min(kPageSize, last.size - page * kPageSize));
  }
  return true;
}

bool SharedFiles::Compare(size_t number, size_t begin, size_t end) {
  File& file = files_[number];
  end = std::min(end, file.size);
  bool changed = false;
  for (size_t page = begin / kPageSize; page * kPageSize < end; ++page) {
    const size_t from = std::max(begin, page * kPageSize), to = std::min(end, (page + 1) * kPageSize);
    if (memcmp(file.shadow.data() + from, file.view + from, to - from) == 0) continue;
    changed = true;
    memcpy(file.shadow.data() + from, file.view + from, to - from);
    file.pages[page] =
        XXH3_64bits(file.shadow.data() + page * kPageSize, std::min(kPageSize, file.size - page * kPageSize));
  }
  return changed;
}

bool SharedFiles::LookAtAll() {
  bool changed = Reopen();
  for (size_t i = 0; i < files_.size(); ++i) changed |= Compare(i, 0, files_[i].size);
  return changed;
}

void SharedFiles::ReadMappings(pid_t process) {
  mappings_.clear();
  std::ifstream maps(fmt::format("/proc/{}/maps", process));
  for (std::string line; std::getline(maps, line);) {
    Mapping mapping = {};
    mapping.file = kNone;
    char rights[8];
    unsigned major = 0, minor = 0;
    unsigned long inode = 0;
    if (sscanf(line.c_str(), "%lx-%lx %7s %lx %x:%x %lu", &mapping.begin, &mapping.end, rights, &mapping.offset, &major,
               &minor, &inode) != 7)
      continue;
    for (size_t i = 0; i < files_.size() && rights[3] == 's'; ++i)
      if (files_[i].inode == inode && files_[i].device == makedev(major, minor)) mapping.file = i;
    mappings_.push_back(mapping);
  }
}

const SharedFiles::Mapping* SharedFiles::MappingOf(uint64_t address) const {
  const auto at = std::upper_bound(mappings_.begin(), mappings_.end(), address,
                                   [](uint64_t a, const Mapping& m) { return a < m.end; });
  return at == mappings_.end() || address < at->begin ? nullptr : &*at;
}

SharedFiles::Place SharedFiles::Find(uint64_t address) const {
  const Mapping* mapping = MappingOf(address);
  if (mapping == nullptr) return Place::kUnmapped;
  return mapping->file == kNone ? Place::kElsewhere : Place::kShared;
}

bool SharedFiles::LookAt(uint64_t address) {
  const Mapping* mapping = MappingOf(address);
  const size_t offset = address - mapping->begin + mapping->offset;
  return Compare(mapping->file, offset & ~size_t{7}, offset + 8 + kWidestStore);
}

uint64_t SharedFiles::Hash() const {
  XXH64_hash_t hash = files_.size();
  for (const File& file : files_) {
    hash = XXH3_64bits_withSeed(file.path.data(), file.path.size(), hash ^ file.size);
    hash = XXH3_64bits_withSeed(file.pages.data(), file.pages.size() * sizeof(uint64_t), hash);
  }
  return hash;
}

}  // namespace lightning::faults
