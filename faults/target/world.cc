#include "faults/target/world.h"

#include <algorithm>

namespace lightning::faults {
namespace {

class WorldKernel final : public Kernel {
 public:
  explicit WorldKernel(std::shared_ptr<World> world) : world_(std::move(world)) {}

  Status Announce(uint32_t slot) override {
    world_->dead[slot] = false;
    return {};
  }
  void Retract(uint32_t) override {}
  Status BeginAttach(Nanoseconds) override { return {}; }
  void EndAttach() override {}
  ClientIdentity Self() override { return {.pid = 1, .start_time = 1, .namespaces = 1, .boot = 1}; }
  bool IsAlive(uint32_t slot, const ClientIdentity*) override {
    return slot >= world_->dead.size() || !world_->dead[slot];
  }
  Nanoseconds Now() override { return world_->now += Nanoseconds(1000); }
  void Pause(Nanoseconds pause) override { world_->now += std::max(pause, Nanoseconds(1000)); }
  void Wait(const Atomic<uint32_t>&, uint32_t, Nanoseconds limit) override {
    world_->now += std::max(limit, Nanoseconds(1000));
  }
  void WakeAll(const Atomic<uint32_t>&) override {}
  bool IsSameProcess() const override { return true; }

 private:
  std::shared_ptr<World> world_;
};

}  // namespace

std::unique_ptr<Kernel> MakeWorldKernel(std::shared_ptr<World> world) {
  return std::make_unique<WorldKernel>(std::move(world));
}

}  // namespace lightning::faults
