#include "faults/check/history_file.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "faults/check/json_line.h"
#include "faults/check/make_history.h"
#include "faults/model/random.h"

namespace lightning::faults {
namespace {

HistoryFile Read(const std::string& text, HistoryError* error) {
  std::istringstream in(text);
  HistoryFile file;
  if (!ReadHistory(in, &file, error)) return {};
  error->what.clear();
  return file;
}

TEST(HistoryFileTest, ReadsWhatTheFormatSays) {
  HistoryError error;
  const HistoryFile file = Read(
      R"({"client": "a", "op": "put", "key": "k", "value": "x", "call": 1, "return": 2}
{"client": 1, "op": "get", "key": "k", "value": "x", "call": 3, "return": 4}

  {"client": "1", "op": "replace", "key": 7, "expected": null, "value": 1, "ok": true, "call": 0, "return": 0}
{"op":"delete","key":"k","client":"b","call":5}
{"op":"contains","key":"k","client":"c","call":5,"return":9,"found":false}
{"op":"get","key":"k","client":"d","call":5,"return":9223372036854775807}
{"op":"put","key":"k","client":"e","call":5,"return":null,"died":8,"value":"\u00fc\"\ud83d\ude00"}
)",
      &error);
  ASSERT_EQ(error.what, "");
  ASSERT_EQ(file.operations.size(), 7u);
  EXPECT_EQ(file.lines, (std::vector<size_t>{1, 2, 4, 5, 6, 7, 8}));
  EXPECT_EQ(file.clients.size(), 7u) << "1 and \"1\" are two";
  EXPECT_EQ(file.keys.size(), 2u);
  const auto& o = file.operations;
  EXPECT_EQ(o[0].value, o[1].value);
  EXPECT_TRUE(o[1].Returned());
  EXPECT_EQ(o[2].expected, kAbsent);
  EXPECT_EQ(o[2].answer, RegisterAnswer::kYes);
  EXPECT_EQ(o[3].ret, kNever);
  EXPECT_EQ(o[4].answer, RegisterAnswer::kNo);
  EXPECT_EQ(o[5].value, kAbsent);
  EXPECT_FALSE(o[6].Returned());
  EXPECT_EQ(o[6].ret, 8u);
  EXPECT_EQ(file.values.Name(o[6].value), "\"ü\\\"😀\"");
}

struct BadCase {
  const char* text;
  size_t line, column;
  const char* what;
};

TEST(HistoryFileTest, EveryErrorSaysWhereItIs) {
  const std::string good = R"({"client": "a", "op": "get", "key": "k", "call": 10, "return": 20})";
  const BadCase cases[] = {
      {"", 0, 0, "no operation"},
      {"\n \n", 0, 0, "no operation"},
      {"get", 1, 1, "expected an object"},
      {R"({"client" "a"})", 1, 11, "expected a colon"},
      {R"({"client": "a)", 1, 12, "without an end"},
      {R"({"client": "a"} x)", 1, 17, "more after"},
      {R"({"client": {}})", 1, 12, "expected a string, a number"},
      {R"({"client": 01})", 1, 12, "begins with 0"},
      {R"({"client": "\x"})", 1, 13, "no such escape"},
      {R"({"client": "\ud800"})", 1, 13, "surrogate"},
      {"{\"client\": \"\xff\"}", 1, 13, "not UTF-8"},
      {R"({"client": "a", "client": "b"})", 1, 17, "twice"},
      {R"({"client": "a", "color": 1})", 1, 17, "unknown field \"color\""},
      {R"({"client": "a", "key": "k", "call": 1})", 1, 1, "\"op\" is missing"},
      {R"({"client": "a", "op": "swap", "key": "k", "call": 1})", 1, 23, "unknown operation"},
      {R"({"op": "get", "key": "k", "call": 1})", 1, 1, "\"client\" is missing"},
      {R"({"client": "a", "op": "get", "key": "k"})", 1, 1, "\"call\" is missing"},
      {R"({"client": "a", "op": "get", "key": "k", "call": 1.5})", 1, 50, "whole number"},
      {R"({"client": "a", "op": "get", "key": "k", "call": -1})", 1, 50, "whole number"},
      {R"({"client": "a", "op": "get", "key": "k", "call": 9223372036854775808})", 1, 50, "2^63"},
      {R"({"client": "a", "op": "get", "key": "k", "call": 2, "return": 1})", 1, 63, "before \"call\" 2"},
      {R"({"client": "a", "op": "get", "key": "k", "call": 2, "return": 3, "died": 4})", 1, 66, "did not return"},
      {R"({"client": "a", "op": "get", "key": true, "call": 2})", 1, 37, "string or a whole number"},
      {R"({"client": "a", "op": "get", "key": "k", "value": 1, "call": 2})", 1, 42, "did not return"},
      {R"({"client": "a", "op": "put", "key": "k", "call": 2})", 1, 1, "a put needs it"},
      {R"({"client": "a", "op": "put", "key": "k", "value": null, "call": 2})", 1, 51, "not null"},
      {R"({"client": "a", "op": "put", "key": "k", "value": 1, "found": true, "call": 2})", 1, 54, "no \"found\""},
      {R"({"client": "a", "op": "contains", "key": "k", "call": 2, "return": 3})", 1, 1, "\"found\" is missing"},
      {R"({"client": "a", "op": "contains", "key": "k", "found": 1, "call": 2, "return": 3})", 1, 56, "true or false"},
      {R"({"client": "a", "op": "replace", "key": "k", "value": 1, "call": 2})", 1, 1, "\"expected\" is missing"},
  };
  for (const BadCase& bad : cases) {
    HistoryError error;
    Read(bad.text, &error);
    EXPECT_NE(error.what.find(bad.what), std::string::npos) << bad.text << ": " << error.what;
    EXPECT_EQ(error.line, bad.line) << bad.text;
    EXPECT_EQ(error.column, bad.column) << bad.text;
    if (bad.line == 0) continue;
    // Lines before it are counted.
    Read(good + "\n\n" + bad.text, &error);
    EXPECT_EQ(error.line, 3u) << bad.text;
  }
}

TEST(HistoryFileTest, AClientDoesOneThingAtATime) {
  auto line = [](const char* client, uint64_t call, const std::string& rest) {
    return std::string(R"({"op": "get", "key": "k", "client": ")") + client + R"(", "call": )" + std::to_string(call) +
           rest + "}\n";
  };
  HistoryError error;
  Read(line("a", 1, ", \"return\": 5") + line("b", 2, "") + line("a", 5, ", \"return\": 6"), &error);
  EXPECT_EQ(error.what, "") << "they touch";
  Read(line("a", 4, ", \"return\": 6") + line("b", 2, "") + line("a", 1, ", \"return\": 5"), &error);
  EXPECT_EQ(error.line, 3u);
  EXPECT_NE(error.what.find("on line 1 that overlaps"), std::string::npos) << error.what;
  Read(line("a", 1, "") + line("a", 5, ", \"return\": 6"), &error);
  EXPECT_EQ(error.line, 2u);
  EXPECT_NE(error.what.find("was interrupted on line 1"), std::string::npos) << error.what;
}

TEST(HistoryFileTest, WhatIsWrittenIsReadTheSame) {
  HistorySettings settings;
  settings.operations = 3000;
  settings.interrupted_percent = 10;
  HistoryFile made;
  std::string why;
  ASSERT_TRUE(MakeHistory(settings, &made, &why));
  std::string text;
  for (const RegisterOperation& o : made.operations) text += WriteOperation(made, o);
  HistoryError error;
  const HistoryFile read = Read(text, &error);
  ASSERT_EQ(error.what, "") << error.line;
  std::string again;
  for (const RegisterOperation& o : read.operations) again += WriteOperation(read, o);
  EXPECT_EQ(text, again);
}

// The other parser decides what JSON is.
TEST(JsonLineTest, TakesWhatIsAFlatObjectAndNothingElse) {
  const std::string seeds[] = {R"({"a":1,"b":"x\u00e9\ud83d\ude00\n","c":null,"d":true,"e":false,"f":-1.5e+3})",
                               R"( { "key" : "v" , "n" : 0 } )", R"({})", "{\"\":\"\xc3\xa9\xf0\x9f\x98\x80\"}"};
  const std::string alphabet = "{}[]\",:\\u0123eE+-.ntfalsr \t\x01\x7f\xc3\xa9\xed\xa0\xf4\x90";
  Random random(1);
  int accepted = 0;
  for (int i = 0; i < 50'000; ++i) {
    std::string line = seeds[random.Below(std::size(seeds))];
    for (uint64_t edits = random.Below(3); edits > 0 && !line.empty(); --edits) {
      const size_t at = random.Below(line.size());
      const char c = alphabet[random.Below(alphabet.size())];
      switch (random.Below(3)) {
        case 0:
          line[at] = c;
          break;
        case 1:
          line.insert(at, 1, c);
          break;
        default:
          line.erase(at, 1);
      }
    }
    std::vector<JsonField> fields;
    JsonError error;
    const bool parsed = ParseJsonLine(line, &fields, &error);
    const nlohmann::json other = nlohmann::json::parse(line, nullptr, false);
    if (!parsed && error.what.find("twice") != std::string::npos) continue;
    bool flat = other.is_object();
    for (const auto& value : other) flat = flat && !value.is_structured();
    ASSERT_EQ(parsed, flat) << line << ": " << error.what;
    if (!parsed) {
      EXPECT_GE(error.column, 1u);
      EXPECT_LE(error.column, line.size() + 1);
      continue;
    }
    ++accepted;
    ASSERT_EQ(fields.size(), other.size());
    for (const JsonField& field : fields) {
      const auto& value = other.at(field.name);
      if (value.is_string()) {
        EXPECT_EQ(field.value.text, value.get<std::string>()) << line;
      }
      if (value.is_number()) {
        EXPECT_EQ(nlohmann::json::parse(field.value.text), value) << line;
      }
      if (value.is_boolean()) {
        EXPECT_EQ(field.value.kind == JsonScalar::Kind::kTrue, value.get<bool>()) << line;
      }
      if (value.is_null()) {
        EXPECT_EQ(field.value.kind, JsonScalar::Kind::kNull) << line;
      }
    }
  }
  EXPECT_GT(accepted, 10'000);
}

}  // namespace
}  // namespace lightning::faults
