#include "faults/engine/target_judge.h"

#include <fmt/format.h>

#include <memory>

namespace lightning::faults {
namespace {

std::string Short(const std::string& value) {
  return value.size() <= 24 ? value : fmt::format("{}... ({} characters)", value.substr(0, 20), value.size());
}

// How `found` differs from `wanted`; "" when it does not.
std::string Difference(const Pairs& found, const Pairs& wanted) {
  for (const auto& [key, value] : wanted) {
    const auto at = found.find(key);
    if (at == found.end()) return fmt::format("{} is missing", key);
    if (at->second != value) return fmt::format("{} is {}, not {}", key, Short(at->second), Short(value));
  }
  for (const auto& [key, value] : found)
    if (!wanted.contains(key)) return fmt::format("{} = {} should not be there", Short(key), Short(value));
  return "";
}

class Judge {
 public:
  // Asks, and keeps the first thing that is wrong. False then, and from then on.
  bool Ask(TargetProcess& process, const std::string& who, const std::string& command) {
    if (verdict_) return false;
    answer_ = process.Ask(command);
    verdict_ = Wrong(fmt::format("{}'s {}", who, command.substr(0, command.find(' '))), answer_);
    return !verdict_;
  }

  // The content as this process lists it, which must be `wanted`.
  void Lists(TargetProcess& process, const std::string& who, const Pairs& wanted) {
    if (!Ask(process, who, "list")) return;
    if (const std::string what = Difference(answer_.items, wanted); !what.empty())
      verdict_ = {"content", fmt::format("{} lists: {}", who, what)};
  }

  // The content right after the recovery; what it is decides which of the two `pairs` becomes.
  void ListsEither(TargetProcess& process, const std::string& who, const TargetOperation& operation, Pairs* pairs) {
    if (!Ask(process, who, "list")) return;
    Pairs after = *pairs;
    operation.ApplyTo(&after);
    const std::string not_before = Difference(answer_.items, *pairs), not_after = Difference(answer_.items, after);
    if (not_before.empty()) return;
    if (not_after.empty()) {
      *pairs = after;
      return;
    }
    verdict_ = {"content", fmt::format("{} lists neither the content before the operation ({}) nor that after it ({})",
                                       who, not_before, not_after)};
  }

  void Checks(TargetProcess& process, const std::string& who) {
    if (Ask(process, who, "check") && !answer_.violations.empty())
      verdict_ = {"invariant", fmt::format("{}'s check: {}", who, answer_.violations.front())};
  }

  void Does(TargetProcess& process, const std::string& who, const TargetOperation& operation, Pairs* pairs) {
    if (Ask(process, who, operation.Command())) operation.ApplyTo(pairs);
  }

  std::optional<TargetVerdict>& verdict() { return verdict_; }

 private:
  TargetAnswer answer_;
  std::optional<TargetVerdict> verdict_;
};

}  // namespace

std::string TargetOperation::Command() const {
  if (kind == kAttach) return "attach";
  return kind == kPut ? "put " + key + " " + value : "remove " + key;
}

void TargetOperation::ApplyTo(Pairs* pairs) const {
  if (kind == kPut) (*pairs)[key] = value;
  if (kind == kRemove) pairs->erase(key);
}

std::optional<TargetVerdict> Wrong(const std::string& who, const TargetAnswer& answer) {
  if (!answer.hangs.empty()) return TargetVerdict{"hang", fmt::format("{}: {}", who, answer.hangs)};
  if (!answer.died.empty()) return TargetVerdict{"crash", fmt::format("{}: {}", who, answer.died)};
  if (!answer.undecided.empty()) return TargetVerdict{"undecided", fmt::format("{}: {}", who, answer.undecided)};
  if (!answer.error.empty()) return TargetVerdict{"error", fmt::format("{}: {}", who, answer.error)};
  return std::nullopt;
}

std::optional<TargetVerdict> JudgeTarget(TargetProcess& healer, const Pairs& before, const TargetOperation& operation,
                                         const NewClient& new_client) {
  Judge judge;
  Pairs pairs = before;
  const std::string first = "the one who heals", second = "a client that came later", third = "one that came last";
  judge.Ask(healer, first, "recover");
  judge.ListsEither(healer, first, operation, &pairs);
  judge.Checks(healer, first);
  // It goes on: the interrupted key, a new one, and away with both.
  judge.Does(healer, first, {TargetOperation::kPut, operation.key, "again"}, &pairs);
  judge.Does(healer, first, {TargetOperation::kPut, "probe", "first"}, &pairs);
  judge.Lists(healer, first, pairs);
  if (judge.verdict()) return judge.verdict();

  const std::unique_ptr<TargetProcess> later = new_client();
  judge.Ask(*later, second, "attach");
  judge.Lists(*later, second, pairs);
  judge.Does(*later, second, {TargetOperation::kRemove, operation.key, ""}, &pairs);
  judge.Does(*later, second, {TargetOperation::kPut, "probe", "second"}, &pairs);
  judge.Lists(healer, first, pairs);
  judge.Checks(*later, second);
  judge.Ask(*later, second, "detach");
  judge.Ask(healer, first, "detach");
  if (judge.verdict()) return judge.verdict();

  const std::unique_ptr<TargetProcess> last = new_client();
  judge.Ask(*last, third, "attach");
  judge.Lists(*last, third, pairs);
  judge.Checks(*last, third);
  judge.Ask(*last, third, "detach");
  return judge.verdict();
}

}  // namespace lightning::faults
