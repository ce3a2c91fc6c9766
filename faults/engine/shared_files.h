// The files that hold the state of somebody's store, seen from outside: which instruction of a client changed them, and
// whether that state was seen before.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace lightning::faults {

class SharedFiles {
 public:
  // `listed`: what the target says; empty: every regular file in `directory`, whenever it comes.
  SharedFiles(std::string directory, std::vector<std::string> listed);
  ~SharedFiles();
  SharedFiles(const SharedFiles&) = delete;
  SharedFiles& operator=(const SharedFiles&) = delete;

  // Whether anything is another than at the last look: names, sizes, bytes.
  bool LookAtAll();
  // Where the files stand in a process, from now on.
  void ReadMappings(pid_t process);
  enum class Place { kElsewhere, kShared, kUnmapped };
  Place Find(uint64_t address) const;
  // Whether the bytes around `address`, a place of kind kShared, are others than at the last look: 64 and a word.
  bool LookAt(uint64_t address);
  // Of everything, as of the last look.
  uint64_t Hash() const;
  // An error text when the files are too large to be watched, or "".
  const std::string& error() const { return error_; }

 private:
  struct File {
    std::string path;
    dev_t device;
    ino_t inode;
    size_t size;
    const std::byte* view;  // null when it is empty
    std::vector<std::byte> shadow;
    std::vector<uint64_t> pages;  // hashes
  };
  struct Mapping {
    uint64_t begin, end, offset;
    size_t file;  // kNone: not ours
  };
  static constexpr size_t kNone = ~size_t{0};

  bool Reopen();
  bool Compare(size_t file, size_t begin, size_t end);
  const Mapping* MappingOf(uint64_t address) const;

  const std::string directory_;
  const std::vector<std::string> listed_;
  std::vector<File> files_;
  std::vector<Mapping> mappings_;
  std::string error_;
};

}  // namespace lightning::faults
