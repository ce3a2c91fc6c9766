// A client's beginning and end: claiming a slot and giving it back.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>

#include "store/client/cleanup.h"
#include "store/client/core.h"
#include "store/gate/breach.h"
#include "store/log/recovery.h"

namespace lightning {

ClientCore::ClientCore(ClientParts parts)
    : gate_(std::move(parts.gate)),
      kernel_(std::move(parts.kernel)),
      path_(std::move(parts.path)),
      lock_timeout_(parts.lock_timeout) {
  env_.segment = Segment(gate_->view(), parts.geometry);
  env_.gate = gate_.get();
  env_.kernel = kernel_.get();
  env_.self = kAttacher;
  env_.lock_timeout = lock_timeout_;
  // Slots are noted in the middle of windows, where nothing may allocate.
  env_.to_clean.reserve(parts.geometry.max_clients);
}

ClientCore::~ClientCore() {
  gate_->Unexpose(exposed_page_);
  gate_->Unexpose(exposed_doorbells_);
}

Result<ClientCore*> ClientCore::Attach(ClientParts parts) {
  std::unique_ptr<ClientCore, void (*)(ClientCore*)> core(new ClientCore(std::move(parts)),
                                                          [](ClientCore* c) { delete c; });
  Status status = core->ClaimSlot();
  if (!status.ok()) return status;
  status = core->MapOwnPage();
  if (!status.ok()) {
    core->Detach();
    return status;
  }
  core->AddReference();
  return core.release();
}

Result<Client> ClientCore::AttachClient(ClientParts parts) {
  Result<ClientCore*> core = Attach(std::move(parts));
  if (!core.ok()) return core.status();
  return Client(*core);
}

bool ClientCore::TryClaim(SlotIndex index, Status* status) {
  const Slot& slot = env_.segment.slot(index);
  const uint64_t word = slot.state.Load();
  const SlotState before = SlotState::Decode(word);
  if (before.life != SlotLife::kFree) return false;
  // The kernel knows first, so that from the claim on our death can be seen.
  *status = kernel_->Announce(index);
  if (!status->ok()) return false;
  const uint32_t generation = (before.generation + 1) & 0xFFFF;
  const ClientIdentity self = kernel_->Self();
  const auto now = static_cast<uint64_t>(kernel_->Now().count());
  Window window(*gate_);
  // Whoever looks at all slots must find this one from the moment it is claimed.
  const StateWord& used = env_.segment.central().slots_used;
  for (uint64_t seen = used.Load(); seen <= index; seen = used.Load()) window.CompareExchange(used, seen, index + 1);
  if (!window.CompareExchange(slot.state, word, SlotState{SlotLife::kAttaching, generation}.Encode())) {
    window.Suspend();
    kernel_->Retract(index);
    return false;
  }
  window.Store(slot.pid, self.pid);
  window.Store(slot.start_time, self.start_time);
  window.Store(slot.namespaces, self.namespaces);
  window.Store(slot.boot, self.boot);
  window.Store(slot.attach_time, now);
  // Pins and recency are hints of whoever had the slot before. Nobody looks at the recency of ids that there are not.
  const Geometry& g = env_.segment.geometry();
  const uint64_t page = g.ClientPageOffset(index), ids = std::min<uint64_t>(g.objects, kRecencySlots);
  constexpr uint64_t kRecency = offsetof(ClientPage, recency), kPins = offsetof(ClientPage, pins);
  window.Clear(page, kRecency + ids * sizeof(Recency));
  window.Clear(page + kPins, g.client_page_stride - kPins);
  LIGHTNING_ASSERT(window.CompareExchange(slot.state, SlotState{SlotLife::kAttaching, generation}.Encode(),
                                          SlotState{SlotLife::kActive, generation}.Encode()));
  env_.self = index;
  env_.generation = generation;
  return true;
}

Status ClientCore::ClaimSlot() {
  // A second pass after healing the dead, whose slots then are free.
  for (int pass = 0; pass < 2; ++pass) {
    for (SlotIndex slot = 0; slot < env_.segment.geometry().max_clients; ++slot) {
      Status status;
      if (TryClaim(slot, &status)) {
        kernel_->EndAttach();
        return {};
      }
      if (!status.ok()) return status;
    }
    if (pass == 0) {
      const Status status = RecoverBeforeAttach();
      if (!status.ok()) return status;
    }
  }
  return Code::kTooManyClients;
}

Status ClientCore::RecoverBeforeAttach() {
  const Status status = kernel_->BeginAttach(lock_timeout_);
  if (!status.ok()) return status;
  const Turn turn(*this);
  const Result<uint32_t> recovered = RecoverDead();
  return recovered.ok() ? Status() : recovered.status();
}

Status ClientCore::MapOwnPage() {
  const Geometry& g = env_.segment.geometry();
  Result<std::span<std::byte>> page = gate_->Expose(g.ClientPageOffset(env_.self), g.client_page_stride);
  if (!page.ok()) return page.status();
  exposed_page_ = *page;
  Result<std::span<std::byte>> doorbells = gate_->Expose(g.doorbells, kPageSize);
  if (!doorbells.ok()) return doorbells.status();
  exposed_doorbells_ = *doorbells;
  page_ = reinterpret_cast<ClientPage*>(exposed_page_.data());
  doorbells_ = reinterpret_cast<Doorbell*>(exposed_doorbells_.data());
  pins_ = std::make_unique<PinTable>(page_->pins, &page_->pins_used, g.max_pins);
  return {};
}

void ClientCore::Detach() {
  if (env_.self == kAttacher) return;
  const Turn turn(*this);
  const SlotIndex slot = env_.self;
  bool clean = false;
  {
    Window window(*gate_);
    clean = CleanUp(env_, window, slot, /*died=*/false, &pinned_).ok();
  }
  // While the slot is still this client's: a claim on a dead one names it, and counts as a dead one's afterwards.
  CleanPending();
  {
    Window window(*gate_);
    Recovery recovery(env_, window);
    // When a stopped peer is in the way, whoever comes after it goes on: the slot counts as that of a dead client.
    if (clean) {
      recovery.Free(slot);
    } else {
      recovery.Unclaim(slot);
    }
  }
  kernel_->Retract(slot);
  env_.self = kAttacher;
}

void ClientCore::Leave() {
  // What an operation has left half done is undone by others once this process has ended.
  if (!Usable().ok() || !Turn(*this).Usable().ok()) return;
  Detach();
  delete this;
}

Status ClientCore::HalfDone() { return ReportBreach(Breach::kReentered); }
Status ClientCore::LeftOpen() { return ReportBreach(Breach::kOpenRights); }

Status ClientCore::NobodysWindow() {
  {
    // Where the turn cannot be had somebody is inside an operation, and the window is theirs.
    const std::unique_lock<SpinLock> turn(turns_, std::try_to_lock);
    if (!turn.owns_lock() || !gate_->FindsWindowLeftOpen()) return {};
  }
  return LeftOpen();
}

void ClientCore::DropReference() {
  if (!env_.kernel->IsSameProcess()) return;  // a child's copy: the parent's slot and pins are not ours
  if (!pins_->DropReference()) return;
  Leave();
}

void ClientCore::Unpin(uint32_t pin) {
  if (!env_.kernel->IsSameProcess()) return;
  if (!pins_->Unpin(pin)) return;
  Leave();
}

}  // namespace lightning
