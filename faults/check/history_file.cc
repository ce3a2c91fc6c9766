#include "faults/check/history_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>
#include <tuple>

#include "faults/check/json_line.h"

namespace lightning::faults {
namespace {

constexpr std::string_view kNull = "null";
constexpr uint64_t kLatest = (uint64_t{1} << 63) - 1;

enum Field { kClient, kOp, kKey, kValue, kExpected, kOk, kFound, kCall, kReturn, kDied, kFields };
constexpr std::array<std::string_view, kFields> kFieldNames = {"client", "op",    "key",  "value",  "expected",
                                                               "ok",     "found", "call", "return", "died"};

struct KindFacts {
  std::string_view name;
  RegisterKind kind;
  std::string_view article;
  unsigned may;   // fields of its own that it may have
  unsigned must;  // and must
  unsigned must_returned;
};
constexpr unsigned Bit(Field field) { return 1u << field; }
constexpr std::array<KindFacts, 5> kKinds = {{
    {"get", RegisterKind::kGet, "a get", Bit(kValue), 0, 0},
    {"contains", RegisterKind::kContains, "a contains", Bit(kFound), 0, Bit(kFound)},
    {"put", RegisterKind::kPut, "a put", Bit(kValue), Bit(kValue), 0},
    {"replace", RegisterKind::kReplace, "a replace", Bit(kValue) | Bit(kExpected) | Bit(kOk),
     Bit(kValue) | Bit(kExpected), Bit(kOk)},
    {"delete", RegisterKind::kDelete, "a delete", Bit(kFound), 0, 0},
}};
constexpr unsigned kAlways = Bit(kClient) | Bit(kOp) | Bit(kKey) | Bit(kCall);
constexpr unsigned kAnyKind = kAlways | Bit(kReturn) | Bit(kDied);

// A line becomes an operation.
class LineReader {
 public:
  LineReader(HistoryFile* file, HistoryError* error) : file_(*file), error_(*error) {}

  bool Read(const std::string& line, RegisterOperation* operation) {
    JsonError json;
    if (!ParseJsonLine(line, &fields_, &json)) return Fail(json.column, json.what);
    at_.fill(nullptr);
    for (const JsonField& field : fields_) {
      const auto name = std::find(kFieldNames.begin(), kFieldNames.end(), field.name);
      if (name == kFieldNames.end())
        return Fail(field.column,
                    fmt::format("unknown field {}; there are {}", QuoteJson(field.name), JoinNames(kFieldNames)));
      at_[static_cast<size_t>(name - kFieldNames.begin())] = &field;
    }
    *operation = {};
    return Kind(operation) && Times(operation) && Names(operation);
  }

 private:
  bool Fail(size_t column, std::string what) {
    error_.column = column;
    error_.what = std::move(what);
    return false;
  }
  bool Has(Field field) const { return at_[field] != nullptr; }
  bool IsNull(Field field) const { return !Has(field) || at_[field]->value.kind == JsonScalar::Kind::kNull; }
  size_t Column(Field field) const { return at_[field]->value.column; }

  bool Kind(RegisterOperation* operation) {
    if (!Has(kOp)) return Fail(1, "\"op\" is missing");
    const JsonScalar& op = at_[kOp]->value;
    const auto found =
        std::find_if(kKinds.begin(), kKinds.end(), [&](const KindFacts& k) { return k.name == op.text; });
    if (op.kind != JsonScalar::Kind::kString || found == kKinds.end())
      return Fail(op.column, "unknown operation; there are get, contains, put, replace, delete");
    facts_ = &*found;
    operation->kind = facts_->kind;
    const bool returned = !IsNull(kReturn);
    const unsigned may = kAnyKind | facts_->may, must = kAlways | facts_->must | (returned ? facts_->must_returned : 0);
    for (unsigned i = 0; i < kFields; ++i) {
      const Field field = static_cast<Field>(i);
      if (Has(field) && !(may & Bit(field)))
        return Fail(at_[i]->column, fmt::format("{} has no \"{}\"", facts_->article, kFieldNames[i]));
      if (!Has(field) && (must & Bit(field)))
        return Fail(1, fmt::format("\"{}\" is missing: {}{} needs it", kFieldNames[i], facts_->article,
                                   (facts_->must_returned & Bit(field)) ? " that returned" : ""));
    }
    return true;
  }

  bool Time(Field field, uint64_t* time) {
    const JsonScalar& value = at_[field]->value;
    std::optional<uint64_t> number = 0;
    if (!value.IsWhole() || value.text[0] == '-') number.reset();
    for (size_t i = 0; number && i < value.text.size(); ++i) {
      const auto digit = static_cast<uint64_t>(value.text[i] - '0');
      number = *number > (kLatest - digit) / 10 ? std::optional<uint64_t>() : *number * 10 + digit;
    }
    if (!number)
      return Fail(value.column, fmt::format("\"{}\" must be a whole number from 0 to 2^63 - 1", kFieldNames[field]));
    *time = *number;
    return true;
  }

  bool Times(RegisterOperation* operation) {
    if (!Time(kCall, &operation->call)) return false;
    const bool returned = !IsNull(kReturn), died = !IsNull(kDied);
    if (returned && died) return Fail(at_[kDied]->column, "\"died\" is for an operation that did not return");
    operation->interrupted = !returned;
    if (!returned && !died) return true;
    const Field field = returned ? kReturn : kDied;
    if (!Time(field, &operation->ret)) return false;
    if (operation->ret >= operation->call) return true;
    return Fail(Column(field),
                fmt::format("\"{}\" {} is before \"call\" {}", kFieldNames[field], operation->ret, operation->call));
  }

  // A string or a whole number, as JSON writes it.
  bool Name(Field field, std::string* name) {
    const JsonScalar& value = at_[field]->value;
    if (value.kind == JsonScalar::Kind::kString) {
      *name = QuoteJson(value.text);
    } else if (value.IsWhole()) {
      *name = value.text == "-0" ? "0" : value.text;
    } else {
      return Fail(value.column, fmt::format("\"{}\" must be a string or a whole number", kFieldNames[field]));
    }
    return true;
  }

  bool Value(Field field, bool may_be_null, uint64_t* value) {
    if (IsNull(field)) {
      if (may_be_null) return true;
      return Fail(Column(field), fmt::format("{} needs a value that is not null", facts_->article));
    }
    std::string name;
    if (!Name(field, &name)) return false;
    *value = file_.values.Id(name);
    return true;
  }

  bool Answer(Field field, RegisterOperation* operation) {
    if (!Has(field)) return true;
    const JsonScalar& value = at_[field]->value;
    const bool is_bool = value.kind == JsonScalar::Kind::kTrue || value.kind == JsonScalar::Kind::kFalse;
    if (!is_bool) return Fail(value.column, fmt::format("\"{}\" must be true or false", kFieldNames[field]));
    operation->answer = value.kind == JsonScalar::Kind::kTrue ? RegisterAnswer::kYes : RegisterAnswer::kNo;
    return true;
  }

  bool Names(RegisterOperation* operation) {
    std::string client, key;
    if (!Name(kClient, &client) || !Name(kKey, &key)) return false;
    operation->client = file_.clients.Id(client);
    operation->key = file_.keys.Id(key);
    const bool gets = operation->kind == RegisterKind::kGet;
    if (!operation->Returned()) {
      for (const Field field : {kValue, kOk, kFound}) {
        if (!IsNull(field) && (gets || field != kValue))
          return Fail(at_[field]->column, fmt::format("it did not return, so there is no \"{}\"", kFieldNames[field]));
      }
    }
    if ((facts_->may & Bit(kValue)) && !Value(kValue, gets, &operation->value)) return false;
    if ((facts_->may & Bit(kExpected)) && !Value(kExpected, true, &operation->expected)) return false;
    const bool returned = operation->Returned();
    if (returned && (facts_->may & Bit(kOk)) && !Answer(kOk, operation)) return false;
    return !returned || !(facts_->may & Bit(kFound)) || Answer(kFound, operation);
  }

  HistoryFile& file_;
  HistoryError& error_;
  const KindFacts* facts_ = nullptr;
  std::vector<JsonField> fields_;
  std::array<const JsonField*, kFields> at_{};
};

// Of the clients that do two things at once, the one whose second comes first in the file.
bool FindOverlap(const HistoryFile& file, HistoryError* error) {
  const std::vector<RegisterOperation>& operations = file.operations;
  std::vector<uint32_t> order(operations.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    auto rank = [&](const RegisterOperation& o) { return std::tuple(o.client, o.call, o.ret); };
    return rank(operations[a]) < rank(operations[b]);
  });
  bool found = false;
  for (size_t i = 1; i < order.size(); ++i) {
    const uint32_t before = order[i - 1], after = order[i];
    const RegisterOperation &a = operations[before], &b = operations[after];
    if (a.client != b.client || (a.Returned() && a.ret <= b.call)) continue;
    const uint32_t later = std::max(before, after), earlier = std::min(before, after);
    if (found && error->line <= file.lines[later]) continue;
    found = true;
    error->line = file.lines[later];
    error->column = 0;
    const std::string client = PlainName(file.clients.Name(a.client));
    error->what = a.Returned() ? fmt::format("client {} has an operation on line {} that overlaps this one", client,
                                             file.lines[earlier])
                               : fmt::format(
                                     "client {} was interrupted on line {} and goes on on line {}: whoever comes "
                                     "after it needs another name",
                                     client, file.lines[before], file.lines[after]);
  }
  return found;
}

}  // namespace

uint32_t NameTable::Id(const std::string& name) {
  const auto [at, added] = ids_.try_emplace(name, static_cast<uint32_t>(names_.size()));
  if (added) names_.push_back(name);
  return at->second;
}

bool ReadHistory(std::istream& in, HistoryFile* file, HistoryError* error) {
  *file = {};
  *error = {};
  file->values.Id(std::string(kNull));
  LineReader reader(file, error);
  std::string line;
  for (size_t number = 1; std::getline(in, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    RegisterOperation operation;
    if (!reader.Read(line, &operation)) {
      error->line = number;
      return false;
    }
    file->operations.push_back(operation);
    file->lines.push_back(number);
  }
  if (in.bad()) {
    error->what = "cannot be read";
    return false;
  }
  if (file->operations.empty()) {
    error->what = "no operation in it: an empty history says nothing";
    return false;
  }
  return !FindOverlap(*file, error);
}

std::string_view KindName(RegisterKind kind) {
  const auto* facts = std::find_if(kKinds.begin(), kKinds.end(), [&](const KindFacts& k) { return k.kind == kind; });
  return facts->name;
}

std::string WriteOperation(const HistoryFile& file, const RegisterOperation& o) {
  std::string line = fmt::format(R"({{"client": {}, "op": "{}", "key": {})", file.clients.Name(o.client),
                                 KindName(o.kind), file.keys.Name(o.key));
  const bool replaces = o.kind == RegisterKind::kReplace;
  if (replaces) line += fmt::format(R"(, "expected": {})", file.values.Name(o.expected));
  if (replaces || o.kind == RegisterKind::kPut || (o.kind == RegisterKind::kGet && o.Returned()))
    line += fmt::format(R"(, "value": {})", file.values.Name(o.value));
  if (o.Returned() && o.answer != RegisterAnswer::kNone)
    line += fmt::format(R"(, "{}": {})", replaces ? "ok" : "found", o.answer == RegisterAnswer::kYes);
  line += fmt::format(R"(, "call": {})", o.call);
  if (o.ret != kNever) line += fmt::format(R"(, "{}": {})", o.Returned() ? "return" : "died", o.ret);
  return line + "}\n";
}

std::string JoinNames(std::span<const std::string_view> names) {
  std::string text;
  for (const std::string_view name : names) text.append(text.empty() ? "" : ", ").append(name);
  return text;
}

std::string PlainName(const std::string& json) {
  if (json.size() < 3 || json.front() != '"') return json;
  const std::string inside = json.substr(1, json.size() - 2);
  const bool number = inside.find_first_not_of("-0123456789") == std::string::npos;
  const bool odd = inside.find_first_of(" \\,:\"") != std::string::npos || inside == kNull;
  return number || odd ? json : inside;
}

std::string DescribeOperation(const HistoryFile& file, const RegisterOperation& o) {
  auto value = [&](uint64_t id) { return id == kAbsent ? "nothing" : PlainName(file.values.Name(id)); };
  const bool yes = o.answer == RegisterAnswer::kYes;
  switch (o.kind) {
    case RegisterKind::kGet:
      return o.Returned() ? "get: " + value(o.value) : "get";
    case RegisterKind::kContains:
      return !o.Returned() ? "contains" : yes ? "contains: yes" : "contains: no";
    case RegisterKind::kPut:
      return "put " + value(o.value);
    case RegisterKind::kReplace:
      return fmt::format("replace {} by {}{}", value(o.expected), value(o.value),
                         !o.Returned() ? ""
                         : yes         ? ": yes"
                                       : ": no");
    case RegisterKind::kDelete:
      break;
  }
  if (!o.Returned() || o.answer == RegisterAnswer::kNone) return "delete";
  return yes ? "delete: found" : "delete: not found";
}

}  // namespace lightning::faults
