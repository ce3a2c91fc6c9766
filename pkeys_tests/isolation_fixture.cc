#include "pkeys_tests/isolation_fixture.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>

#include "store/gate/process_key.h"

namespace lightning::pkeys {

std::vector<Isolation> ModesToRun() {
  if (std::getenv("LIGHTNING_EMULATED") != nullptr) return {Isolation::kKeys};
  return {Isolation::kKeys, Isolation::kMprotect, Isolation::kHidden, Isolation::kNone};
}

void IsolationTest::SetUp() {
  path_ = "/dev/shm/lightning-pkeys." + std::to_string(getpid());
  unlink(path_.c_str());
  options_.size = 1 << 20;
  options_.max_objects = 256;
  options_.max_clients = 4;
  options_.max_pins = 64;
  options_.event_slots = 16;
  Result<Client> client = Connect(isolation_);
  ASSERT_TRUE(client.ok()) << client.status().ToString();
  client_ = std::make_unique<Client>(std::move(*client));
  ASSERT_EQ(client_->isolation(), isolation_);
  const ScopedFd fd(open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  void* judge = mmap(nullptr, options_.size, PROT_READ, MAP_SHARED, fd.get(), 0);
  ASSERT_NE(judge, MAP_FAILED);
  judge_ = static_cast<const std::byte*>(judge);
}

void IsolationTest::TearDown() {
  client_.reset();
  if (judge_ != nullptr) munmap(const_cast<std::byte*>(judge_), options_.size);
  unlink(path_.c_str());
}

Result<Client> IsolationTest::Connect(Isolation isolation) const {
  Options options = options_;
  options.isolation = isolation;
  const Result<Store> store = Store::Open(path_, options);
  if (!store.ok()) return store.status();
  return store->Connect();
}

std::vector<Mapping> IsolationTest::ControlMappings() const {
  std::vector<Mapping> control;
  for (const Mapping& mapping : Mappings()) {
    if (mapping.writable && mapping.offset == 0 && mapping.size == options_.size) control.push_back(mapping);
  }
  return control;
}

std::vector<std::pair<std::string, uint64_t>> IsolationTest::Targets() const {
  const Segment& segment = ClientCore::Of(*client_)->environment().segment;
  const Geometry& g = segment.geometry();
  const Slot& slot = segment.slot(ClientCore::Of(*client_)->environment().self);
  return {{"superblock", 0},
          {"central state", segment.OffsetOf(&segment.central().free_granules)},
          {"central lock", segment.OffsetOf(&segment.central().lock)},
          {"slot", segment.OffsetOf(&slot.pid)},
          {"slot lock", segment.OffsetOf(&slot.lock)},
          {"log's count", segment.OffsetOf(&slot.log_count)},
          {"log", segment.OffsetOf(&slot.log[0])},
          {"index", g.buckets},
          {"object table", g.object_table},
          {"block table", g.block_table},
          {"event ring", g.events},
          {"heap", g.heap},
          {"heap's end", g.size - 16}};
}

void KeysTest::SetUp() {
  if (!MachineHasKeys()) GTEST_SKIP() << "this machine has no memory protection keys";
  IsolationTest::SetUp();
  if (HasFatalFailure()) return;
  const std::vector<Mapping> control = ControlMappings();
  ASSERT_EQ(control.size(), 1u);
  control_ = control.front();
}

}  // namespace lightning::pkeys
