#include "store/testing/mappings.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstring>
#include <fstream>

namespace lightning::test {
namespace {

sigjmp_buf faulted;

void OnFault(int) { siglongjmp(faulted, 1); }

}  // namespace

std::vector<Mapping> AllMappings() {
  std::vector<Mapping> all;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    Mapping mapping;
    char rights[5] = "";
    unsigned long begin = 0, end = 0, offset = 0, inode = 0;
    if (sscanf(line.c_str(), "%lx-%lx %4s %lx %*s %lu", &begin, &end, rights, &offset, &inode) != 5) continue;
    mapping.begin = begin;
    mapping.end = end;
    mapping.offset = offset;
    mapping.readable = rights[0] == 'r';
    mapping.writable = rights[1] == 'w';
    mapping.file = inode;
    all.push_back(mapping);
  }
  return all;
}

std::vector<Mapping> MappingsOf(int fd) {
  struct stat info;
  std::vector<Mapping> found;
  if (fstat(fd, &info) != 0) return found;
  for (const Mapping& mapping : AllMappings()) {
    if (mapping.file == info.st_ino) found.push_back(mapping);
  }
  return found;
}

uint64_t WritableBytes(int fd) {
  uint64_t bytes = 0;
  for (const Mapping& mapping : MappingsOf(fd)) bytes += mapping.writable ? mapping.size() : 0;
  return bytes;
}

bool StoreLands(uint64_t address, std::byte same) {
  struct sigaction action, before;
  memset(&action, 0, sizeof action);
  action.sa_handler = OnFault;
  sigaction(SIGSEGV, &action, &before);
  bool landed = false;
  if (sigsetjmp(faulted, 1) == 0) {
    // One plain instruction, which no sanitizer looks at.
    asm volatile("movb %0, (%1)" : : "q"(same), "r"(address) : "memory");
    landed = true;
  }
  sigaction(SIGSEGV, &before, nullptr);
  return landed;
}

}  // namespace lightning::test
