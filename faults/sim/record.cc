#include "faults/sim/record.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "store/segment/segment.h"

namespace lightning::faults {

void Catalogue::Read(const Plan& plan) {
  for (size_t key = 0; key < names_.size(); ++key) by_key_[key].clear();
  names_.clear();
  sorted_.clear();
  items_used_ = 0;
  programs_.clear();
  first_.clear();
  for (const PlanClient& client : plan.clients) {
    for (const auto* program : {&client.before, &client.operations}) {
      programs_.push_back({program, first_.size()});
      for (const PlanOperation& operation : *program) Add(operation);
    }
  }
}

uint32_t Catalogue::NumberOf(const std::string& key) {
  const auto at = std::lower_bound(sorted_.begin(), sorted_.end(), key,
                                   [&](uint32_t known, const std::string& name) { return *names_[known] < name; });
  if (at != sorted_.end() && *names_[*at] == key) return *at;
  const auto number = static_cast<uint32_t>(names_.size());
  sorted_.insert(at, number);
  names_.push_back(&key);
  if (by_key_.size() < names_.size()) by_key_.emplace_back();
  return number;
}

KnownItem& Catalogue::NextItem() {
  if (items_used_ == items_.size()) items_.emplace_back();
  return items_[items_used_++];
}

void Catalogue::Add(const PlanOperation& operation) {
  first_.push_back(items_used_);
  if (operation.action == Action::kList) return;  // names a prefix, and no key
  const bool writes = operation.action == Action::kPut || operation.action == Action::kReplace ||
                      operation.action == Action::kPutBatch || operation.action == Action::kCreate;
  for (const NamedItem& named : operation.items) {
    const uint32_t key = NumberOf(named.key);
    if (writes) by_key_[key].push_back(items_used_);
    KnownItem& known = NextItem();
    known.key = key;
    known.item = named.item;
    SetPattern(&known.value, known.item.size, known.item.tag);
    SetPattern(&known.metadata, known.item.metadata_size, MetadataTag(known.item.tag));
  }
}

const KnownItem* Catalogue::Of(const PlanOperation& operation, size_t item) const {
  const auto place = reinterpret_cast<uintptr_t>(&operation);
  const Program* its = nullptr;
  uintptr_t index = 0;
  for (const Program& program : programs_) {
    index = (place - reinterpret_cast<uintptr_t>(program.operations->data())) / sizeof operation;
    if (index < program.operations->size()) {
      its = &program;
      break;
    }
  }
  LIGHTNING_ASSERT(its != nullptr);  // an operation of the plan
  return &items_[first_[its->first + index] + item];
}

const KnownItem* Catalogue::Recognise(uint32_t key, Bytes value, Bytes metadata) const {
  const auto same = [](Bytes bytes, const std::string& known) {
    return bytes.size() == known.size() && (known.empty() || memcmp(bytes.data(), known.data(), known.size()) == 0);
  };
  for (const size_t index : by_key_[key]) {
    const KnownItem& known = items_[index];
    if (same(value, known.value) && same(metadata, known.metadata)) return &known;
  }
  return nullptr;
}

void Record::Clear() {
  for (auto& operations : keys_) operations.clear();
  for (auto& reservations : reserved_) reservations.clear();
  batches_ = 0;
  may_vanish_ = false;
}

Record::Token Record::Begin(uint32_t key, const KeyOperation& operation) {
  keys_[key].push_back(operation);
  return {key, static_cast<uint32_t>(keys_[key].size() - 1)};
}

void Record::Reserve(uint32_t key, uint32_t client, uint64_t call) { reserved_[key].push_back({client, call}); }

void Record::Release(uint32_t key, uint32_t client, uint64_t now) {
  std::vector<Reservation>& all = reserved_[key];
  const auto last = std::find_if(all.rbegin(), all.rend(),
                                 [&](const Reservation& r) { return r.client == client && r.end == kNever; });
  if (last != all.rend()) last->end = now;
}

void Record::ReleaseAll(uint32_t client, uint64_t now) {
  for (std::vector<Reservation>& all : reserved_) {
    for (Reservation& reservation : all) {
      if (reservation.client == client) reservation.end = std::min(reservation.end, now);
    }
  }
}

bool Record::WasReserved(uint32_t key, uint64_t call) const {
  const std::vector<Reservation>& all = reserved_[key];
  return std::any_of(all.begin(), all.end(), [&](const Reservation& r) { return r.call != call && r.end >= call; });
}

void Record::End(Token token, KeyOperation::State state, uint64_t now, uint64_t version) {
  KeyOperation& operation = keys_[token.key][token.index];
  operation.state = state;
  operation.end = now;
  operation.version = version;
}

std::string Record::Saw(uint32_t key, uint32_t client, uint64_t call, uint64_t now, const KnownItem* item,
                        uint64_t version) {
  KeyOperation read;
  read.kind = KeyOperation::kRead;
  read.state = KeyOperation::kDone;
  read.client = client;
  read.call = call;
  read.end = now;
  read.item = item;
  read.version = version;
  bool known = item == nullptr;
  for (KeyOperation& operation : keys_[key]) {
    if (operation.kind != KeyOperation::kWrite || operation.item != item || item == nullptr) continue;
    known = true;
    operation.seen = std::min(operation.seen, now);
    if (!operation.happened())
      return fmt::format("{} was read with a value whose put had answered that it failed",
                         ShowKey(catalogue_.name(key)));
    if (operation.state == KeyOperation::kDone && operation.version != 0 && operation.version != version)
      return fmt::format("{} was put as version {} and read as version {}", ShowKey(catalogue_.name(key)),
                         operation.version, version);
  }
  keys_[key].push_back(read);
  if (!known)
    return fmt::format("{} was read with a value that nobody had begun to put", ShowKey(catalogue_.name(key)));
  return "";
}

std::string Record::JudgeKey(uint32_t key, const KnownItem* found) const {
  // When the change that left `found` was over at the latest, for all that anyone knows; zero for the beginning.
  uint64_t over = 0;
  bool possible = found == nullptr;  // absent before anything happened
  bool unsure = false;               // it may have happened at any time
  for (const KeyOperation& operation : keys_[key]) {
    if (operation.kind == KeyOperation::kRead || !operation.happened()) continue;
    const KnownItem* const left = operation.kind == KeyOperation::kWrite ? operation.item : nullptr;
    if (left != found) continue;
    possible = true;
    const uint64_t end = std::min(operation.end, operation.seen);
    unsure |= end == kNever;
    over = std::max(over, end);
  }
  if (found == nullptr && may_vanish_) return "";
  const auto name = [&] { return ShowKey(catalogue_.name(key)); };
  if (!possible) return fmt::format("{} holds a value that nobody had begun to put, or whose put failed", name());
  if (unsure) return "";
  for (const KeyOperation& operation : keys_[key]) {
    if (operation.kind == KeyOperation::kRead || !operation.happened()) continue;
    const KnownItem* const left = operation.kind == KeyOperation::kWrite ? operation.item : nullptr;
    const bool happened = operation.state == KeyOperation::kDone || operation.seen != kNever;
    if (left == found || !happened || operation.call <= over) continue;
    return fmt::format("{} {}, though a {} by client {} that began later was {}", name(),
                       found == nullptr ? "is absent" : "has an old value",
                       operation.kind == KeyOperation::kWrite ? "put" : "delete", operation.client,
                       operation.state == KeyOperation::kDone ? "done" : "seen");
  }
  return "";
}

std::string Record::JudgeBatches(const std::vector<const KnownItem*>& found) const {
  for (uint32_t key = 0; key < keys_.size(); ++key) {
    for (const KeyOperation& operation : keys_[key]) {
      if (operation.batch == 0 || operation.item != found[key] || operation.kind != KeyOperation::kWrite) continue;
      // It is there. Then on its other keys stands its own value, or one that may have come later.
      for (uint32_t other = 0; other < keys_.size(); ++other) {
        const auto of_batch = [&](const KeyOperation& o) { return o.batch == operation.batch; };
        if (other == key || std::none_of(keys_[other].begin(), keys_[other].end(), of_batch)) continue;
        bool fine = found[other] == nullptr && may_vanish_;
        for (const KeyOperation& o : keys_[other]) {
          const KnownItem* const left = o.kind == KeyOperation::kWrite ? o.item : nullptr;
          if (o.kind == KeyOperation::kRead || !o.happened() || left != found[other]) continue;
          fine |= of_batch(o) || std::min(o.end, o.seen) >= operation.call;
        }
        if (!fine)
          return fmt::format("a batch is there in part: {} has its value, {} an older one",
                             ShowKey(catalogue_.name(key)), ShowKey(catalogue_.name(other)));
      }
    }
  }
  return "";
}

std::string Record::JudgeFound(const std::vector<const KnownItem*>& found) const {
  for (uint32_t key = 0; key < keys_.size(); ++key) {
    std::string error = JudgeKey(key, found[key]);
    if (!error.empty()) return error;
  }
  return batches_ == 0 ? "" : JudgeBatches(found);
}

std::string Record::JudgeHistory() {
  // A key that may vanish at any time is no register.
  if (may_vanish_) return "";
  for (uint32_t key = 0; key < keys_.size(); ++key) {
    history_.clear();
    const auto number = [](const KnownItem* item) {
      return item == nullptr ? kAbsent : reinterpret_cast<uint64_t>(item);
    };
    for (const KeyOperation& operation : keys_[key]) {
      if (operation.state == KeyOperation::kFailed) continue;
      RegisterOperation o;
      o.client = operation.client;
      o.call = operation.call;
      o.ret = operation.end;
      o.interrupted = operation.end == kNever;
      o.value = number(operation.item);
      if (operation.kind == KeyOperation::kRead) {
        o.kind = RegisterKind::kGet;
      } else if (operation.kind == KeyOperation::kDelete) {
        o.kind = RegisterKind::kDelete;
        if (!o.interrupted) o.answer = RegisterAnswer::kYes;
      } else if (operation.conditional) {
        o.kind = RegisterKind::kReplace;
        o.expected = number(operation.expected);
        if (!o.interrupted) o.answer = operation.happened() ? RegisterAnswer::kYes : RegisterAnswer::kNo;
      } else {
        o.kind = RegisterKind::kPut;
      }
      history_.push_back(o);
    }
    const Verdict verdict = checker_.CheckRegister(history_);
    if (verdict != Verdict::kOk)
      return fmt::format("the history of {} is not linearizable ({})", ShowKey(catalogue_.name(key)),
                         VerdictName(verdict));
  }
  return "";
}

}  // namespace lightning::faults
