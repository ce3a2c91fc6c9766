// A small segment with one client, seen three ways: through the client, through its own mappings, and through a mapping
// of the test's own that judges.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lightning/client.h"
#include "pkeys_tests/routes/mappings.h"
#include "pkeys_tests/stray.h"
#include "store/client/core.h"

namespace lightning::pkeys {

using routes::Mapping;

// Every mode; in an emulated machine, which is slow, mode keys alone: the others have run natively.
std::vector<Isolation> ModesToRun();

class IsolationTest : public testing::Test {
 protected:
  explicit IsolationTest(Isolation isolation) : isolation_(isolation) {}
  void SetUp() override;
  void TearDown() override;

  Result<Client> Connect(Isolation isolation) const;
  // Of the segment, in this process.
  std::vector<Mapping> Mappings() const { return routes::MappingsOf(path_); }
  // The writable mapping of the whole file: the one that the gate guards. None in mode mprotect while it is closed.
  std::vector<Mapping> ControlMappings() const;
  Gate& gate() { return ClientCore::Of(*client_)->gate(); }
  const Geometry& geometry() const { return ClientCore::Of(*client_)->environment().segment.geometry(); }

  // Something of every kind that the segment holds: its name, and the byte offset of an aligned place in it.
  std::vector<std::pair<std::string, uint64_t>> Targets() const;
  // The whole file, byte for byte, by the judge's mapping.
  std::string Image() const { return {reinterpret_cast<const char*>(judge_), geometry().size}; }
  void ExpectSound() {
    const CheckReport report = client_->Check();
    EXPECT_TRUE(report.ok) << (report.violations.empty() ? "busy" : report.violations.front());
  }

  const Isolation isolation_;
  std::string path_;
  Options options_;
  std::unique_ptr<Client> client_;
  const std::byte* judge_ = nullptr;
};

// In mode keys; skipped by name where the machine has none.
class KeysTest : public IsolationTest {
 protected:
  KeysTest() : IsolationTest(Isolation::kKeys) {}
  void SetUp() override;
  std::byte* control() const { return control_.begin; }
  int key() const { return control_.key; }

  FaultCatcher catcher_;
  Mapping control_;
};

}  // namespace lightning::pkeys
