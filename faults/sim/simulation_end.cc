// When all have done what they would, or are dead: the plan's recoverers, and the judgement of what is left.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "faults/sim/accounts.h"
#include "faults/sim/simulation.h"

namespace lightning::faults {

// Those whom the plan names, one after the other, each killed if it says so.
void Simulation::Recover() {
  for (const PlanRecoverer& recoverer : plan_.recoverers) {
    uint32_t number = 0;
    while (runners_[number]->name != recoverer.client) ++number;
    Runner& runner = *runners_[number];
    if (runner.life == Life::kDead) continue;
    runner.life = Life::kReady;
    runner.triggers.clear();
    std::fill(std::begin(runner.counts), std::end(runner.counts), 0);
    if (recoverer.killed) runner.triggers.push_back({recoverer.at, Trigger::kKill, 0});
    Watch(runner);
    runner.fiber->Start([this, number] {
      Runner& it = *runners_[number];
      if (it.actor == nullptr) MakeActor(number);
      it.actor->Do({.action = Action::kAttach, .items = {}, .amount = 0});
      it.actor->Do({.action = Action::kRecover, .items = {}, .amount = 0});
    });
    movers_ = static_cast<uint32_t>(runners_.size());
    while (!runner.fiber->done() && runner.life != Life::kDead && error_.empty())
      RunTurn({number, Turn::kUntilItWaits, 0});
    current_ = nullptr;
    current_number_ = 0;
  }
}

std::string Simulation::JudgeKeys(Client& client) {
  found_.assign(catalogue_.keys(), nullptr);
  uint64_t there = 0;
  for (uint32_t key = 0; key < catalogue_.keys(); ++key) {
    const std::string& name = catalogue_.name(key);
    const uint64_t call = Tick();
    const Result<Handle> handle = client.Get(name);
    if (handle.code() == Code::kNotFound) {
      // Nothing else may be known of it: the judgement of what was found says whether it may be absent.
      if (!record_.keys_may_vanish()) record_.Saw(key, movers_, call, Tick(), nullptr, 0);
      continue;
    }
    if (!handle.ok())
      return fmt::format("at the end, reading {} failed: {}", ShowKey(name), handle.status().ToString());
    found_[key] = catalogue_.Recognise(key, handle->bytes(), handle->metadata());
    if (found_[key] == nullptr) return fmt::format("at the end, {} has bytes that nobody ever put", ShowKey(name));
    std::string error = record_.Saw(key, movers_, call, Tick(), found_[key], handle->version());
    if (!error.empty()) return "at the end, " + error;
    ++there;
  }
  std::string error = record_.JudgeFound(found_);
  if (!error.empty()) return "at the end, " + error;
  error = record_.JudgeHistory();
  if (!error.empty()) return error;
  const Result<std::vector<ObjectInfo>> list = client.List();
  if (!list.ok()) return "at the end, List failed: " + list.status().ToString();
  if (list->size() != there)
    return fmt::format("at the end, {} keys can be read and {} are listed", there, list->size());
  return "";
}

std::string Simulation::JudgeEnd() {
  // Who lives on lets go of what it has, so that what stays behind is the dead's.
  for (uint32_t number = 0; number + 1 < runners_.size(); ++number) {
    Runner& runner = *runners_[number];
    if (runner.life == Life::kDead || runner.actor == nullptr) continue;
    const AllocationScope scope(&runner.allocations);
    runner.actor->Leave();
    runner.slot = -1;
  }
  if (!error_.empty()) return error_;
  const auto judge = static_cast<uint32_t>(runners_.size() - 1);
  Result<Client> client = Attach(judge);
  if (!client.ok()) return "at the end, attaching failed: " + client.status().ToString();
  const Result<RecoveryReport> report = client->Recover();
  if (!report.ok()) return "at the end, Recover failed: " + report.status().ToString();
  std::string error = JudgeKeys(*client);
  if (!error.empty()) return error;
  client->Close();
  error = JudgeAccounts(memory_.segment());
  return error.empty() ? "" : "at the end, " + error;
}

}  // namespace lightning::faults
