// Each error that a text can have: where it is, and what the message says.
#include <gtest/gtest.h>

#include "faults/plan/plan_reader.h"

namespace lightning::faults {
namespace {

struct WrongText {
  const char* text;       // behind the first line, so its own first line is line 2
  const char* error;      // the beginning: LINE:COLUMN: message
  const char* also = "";  // and what else the message says
};

constexpr const char* kClient = "client a {\n}\n";  // lines 2 and 3 where it stands in front

// Whole texts.
constexpr WrongText kWrongTexts[] = {
    {"", "1:1: the first line must be \"lightning plan 1\""},
    {"\n", "1:1: the first line must be"},
    {"# a comment\nlightning plan 1\n", "1:1: the first line must be", ""},
    {"lightening plan 1\n", "1:1: the first line must be"},
    {"lightning plans 1\n", "1:11: the first line must be"},
    {"lightning plan 2\n", "1:16: this program reads version 1 of the format"},
    {"lightning plan\n", "1:15: this program reads version 1 of the format"},
    {"lightning plan 1 seed 5\n", "1:18: expected the end of the line, not \"seed\""},
    {"lightning plan 1", "1:17: a plan has at least one client"},
    {"lightning plan 1\nseed 1\n", "3:1: a plan has at least one client"},
    {"lightning plan 1\n\xff", "2:1: the byte 0xff has no meaning here"},
    {"lightning plan 1\n$", "2:1: the byte 0x24 has no meaning here"},
};

// Behind the first line.
constexpr WrongText kWrongStatements[] = {
    {"sede 5\n", "2:1: expected a statement, not \"sede\"", "did you mean \"seed\"?"},
    {"frobnicate 5\n", "2:1: expected a statement, not \"frobnicate\"", "known: seed, engine"},
    {"\"seed\" 5\n", "2:1: expected a statement, not the key \"seed\""},
    {"{\n", "2:1: expected a statement, not \"{\""},
    {"}\n", "2:1: expected a statement, not \"}\""},
    {"seed\n", "2:5: expected the seed, a number in decimal or 0x form, not the end of the line"},
    {"seed", "2:5: expected the seed, a number", "not the end of the text"},
    {"seed 5x\n", "2:6: expected the seed, a number", "not \"5x\""},
    {"seed 0x\n", "2:6: expected the seed, a number"},
    {"seed 5K\n", "2:6: expected the seed, a number"},
    {"seed -1\n", "2:6: expected the seed, a number"},
    {"seed 18446744073709551616\n", "2:6: the seed must be 0 to 18446744073709551615"},
    {"seed 0x10000000000000000\n", "2:6: the seed must be 0 to 18446744073709551615"},
    {"seed 5 6\n", "2:8: expected the end of the line, not \"6\""},
    {"seed 1\nseed 1\n", "3:1: \"seed\" is said twice, first on line 2"},
    {"engine simm\n", "2:8: expected an engine, not \"simm\"", "did you mean \"sim\"?"},
    {"engine 7\n", "2:8: expected an engine, not \"7\"", "known: any, step, sim, real"},
    {"engine sim\n\nengine step\n", "4:1: \"engine\" is said twice, first on line 2"},
    {"segment\n", "2:8: expected \"{\", not the end of the line"},
    {"segment { heap 4K\n", "2:11: expected the end of the line, not \"heap\""},
    {"segment {\n  max-object 5\n", "3:3: expected a setting of the segment", "did you mean \"max-objects\"?"},
    {"segment {\n  heap 4K\n  heap 4K\n", "4:3: \"heap\" is said twice, first on line 3"},
    {"segment {\n  heap 0\n", "3:8: heap must be 1 to "},
    {"segment {\n  heap 17592186044416M\n", "3:8: heap must be 1 to "},
    {"segment {\n  heap 18446744073709551615M\n", "3:8: heap must be 1 to "},
    {"segment {\n  heap 1G\n", "3:8: expected heap, a number", "with K or M"},
    {"segment {\n  heap K\n", "3:8: expected heap, a number"},
    {"segment {\n  max-objects 0\n", "3:15: max-objects must be 1 to 1073741824, not \"0\""},
    {"segment {\n  max-objects 1073741825\n", "3:15: max-objects must be 1 to 1073741824"},
    {"segment {\n  max-clients 1025\n", "3:15: max-clients must be 1 to 1024"},
    {"segment {\n  max-pins 16777217\n", "3:12: max-pins must be 1 to 16777216"},
    {"segment {\n  event-slots 1048577\n", "3:15: event-slots must be 1 to 1048576"},
    {"segment {\n  hash-seed 0\n", "3:13: hash-seed must be 1 to"},
    {"segment {\n  eviction fifo\n", "3:12: expected an eviction policy, not \"fifo\"", "known: none, lru"},
    {"segment {\n  isolation key\n", "3:13: expected an isolation mode, not \"key\"", "did you mean \"keys\"?"},
    {"segment {\n  heap 4K\n", "4:1: expected \"}\": the block of \"segment\" on line 2 is not closed"},
    {"segment {\n} seed 1\n", "3:3: expected the end of the line, not \"seed\""},
    {"segment {\n}\nsegment {\n}\n", "4:1: \"segment\" is said twice"},
    {"client {\n", "2:8: expected a name, of letters, digits and '-', not \"{\""},
    {"client \"a\" {\n", "2:8: expected a name, of letters, digits and '-', not the key \"a\""},
    {"client a_b {\n", "2:9: the byte 0x5f has no meaning here"},
    {"client aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggggg {\n",
     "2:8: a name has at most 64 characters, not 65"},
    {"client a {\n", "3:1: expected \"}\": the block of \"client\" on line 2 is not closed"},
    {"client a {\n}\nclient a {\n}\n", "4:8: there is already a client of the name \"a\""},
    {"client a {\n  puts \"k\"\n", "3:3: expected an operation or \"}\", not \"puts\"", "did you mean \"put\"?"},
    {"client a {\n  unsubscrieb\n", "3:3: expected an operation or \"}\"", "did you mean \"unsubscribe\"?"},
    {"client a {\n  get \"k\"\n  before {\n", "4:3: \"before\" stands once, and before all operations"},
    {"client a {\n  before {\n  }\n  before {\n", "5:3: \"before\" stands once, and before all operations"},
    {"client a {\n  before {\n    get \"k\"\n", "5:1: expected \"}\": the block of \"before\" on line 3 is not closed"},
    {"client a {\n  put k\n", "3:7: expected a key in double quotes, not \"k\""},
    {"client a {\n  put \"\"\n", "3:7: a key has at least one byte"},
    {"client a {\n  put \"k\n", "3:7: this key has no closing '\"' on its line"},
    {"client a {\n  put \"\\n\"\n", "3:8: an escape is one of"},
    {"client a {\n  put \"k\\x4\"\n", "3:9: an escape is one of"},
    {"client a {\n  put \"\t\"\n", "3:8: write this byte as \\x09"},
    {"client a {\n  put \"k\" size x\n", "3:16: expected the size, a number"},
    {"client a {\n  put \"k\" size 1 size 1\n", "3:18: \"size\" is said twice, first on line 3"},
    {"client a {\n  put \"k\" sise 1\n", "3:11: expected a setting of the value", "did you mean \"size\"?"},
    {"client a {\n  put \"k\" metadata 65537\n", "3:20: the size of the metadata must be 0 to 65536"},
    {"client a {\n  put \"k\" size 262145M\n", "3:16: the size must be 0 to 274877906944"},
    {"client a {\n  put \"k\" size 70000 pages\n", "3:22: expected a setting of the value, not \"pages\""},
    {"client a {\n  create \"k\" size 65535 pages\n", "3:25: only a created value of 64K or more has pages"},
    {"client a {\n  create \"k\" size 64K\n", "3:19: a created value of 64K or more has pages of its own"},
    {"client a {\n  get \"k\" size 1\n", "3:11: expected the end of the line, not \"size\""},
    {"client a {\n  list\n", "3:7: expected a key in double quotes, not the end of the line"},
    {"client a {\n  evict\n", "3:8: expected bytes, a number"},
    {"client a {\n  check \"k\"\n", "3:9: expected the end of the line, not the key \"k\""},
    {"client a {\n  batch {\n  }\n", "3:3: a batch has at least one put"},
    {"client a {\n  batch {\n    get \"k\"\n", "4:5: expected \"put\" or \"}\", not \"get\""},
    {"client a {\n  batch {\n    put \"k\"\n    put \"k\"\n", "5:9: a batch puts \"k\" twice"},
    {"client a {\n  batch {\n", "4:1: expected \"}\": the block of \"batch\" on line 3 is not closed"},
};

// Behind the first line and a client "a" on lines 2 and 3.
constexpr WrongText kWrongAfterClient[] = {
    {"schedule pcd\n", "4:10: expected a strategy, not \"pcd\"", "did you mean \"pct\"?"},
    {"schedule pct bound 3\n", "4:14: expected a setting of the schedule, not \"bound\"", "known: depth"},
    {"schedule random depth 3\n", "4:17: expected a setting of the schedule, not \"depth\"", "known: bound"},
    {"schedule random percent 101\n", "4:25: percent must be 0 to 100, not \"101\""},
    {"schedule random memory pso\n", "4:24: expected a memory model, not \"pso\"", "did you mean \"tso\"?"},
    {"schedule pct memory sc memory sc\n", "4:24: \"memory\" is said twice"},
    {"schedule pct {\n", "4:14: expected the end of the line, not \"{\""},
    {"schedule replay\n", "4:16: expected \"{\", not the end of the line"},
    {"schedule replay {\n  a 12\n", "5:3: expected \"run\" or \"}\", not \"a\""},
    {"schedule replay {\n  run b 12\n", "5:7: expected a client of the plan, not \"b\"", "known: a"},
    {"schedule replay {\n  run a\n", "5:8: expected the number of points, a number"},
    {"schedule replay {\n", "5:1: expected \"}\": the block of \"schedule\" on line 4 is not closed"},
    {"schedule pct\nschedule pct\n", "5:1: \"schedule\" is said twice, first on line 4"},
    {"kill\n", "4:5: expected a name"},
    {"kill b at store 1\n", "4:6: expected a client of the plan, not \"b\"", "known: a"},
    {"kill a store 1\n", "4:8: expected \"at\", not \"store\""},
    {"kill a at stores 1\n", "4:11: expected what to count, not \"stores\"", "did you mean \"store\"?"},
    {"kill a at store 0\n", "4:17: the number must be 1 to"},
    {"kill a at store\n", "4:16: expected the number, a number"},
    {"kill a at store 1 for 5\n", "4:19: expected the end of the line, not \"for\""},
    {"stop b at point 1\n", "4:6: expected a client of the plan, not \"b\""},
    {"stop a at point 1 4\n", "4:19: expected \"for\", not \"4\""},
    {"stop a at point 1 for\n", "4:22: expected the number of points, a number"},
    {"stray b at point 1 into central value 1\n", "4:7: expected a client of the plan, not \"b\""},
    {"stray a at point 1 to central value 1\n", "4:20: expected \"into\", not \"to\""},
    {"stray a at point 1 into lag 1 value 1\n", "4:25: expected a region of the segment", "did you mean \"log\"?"},
    {"stray a at point 1 into log value 1\n", "4:29: expected the index, a number"},
    {"stray a at point 1 into log 4 value 1\n", "4:29: the index of \"log\" must be 0 to 3, not 4"},
    {"stray a at point 1 into event 4 value 1\n", "4:31: the index of \"event\" must be 0 to 3, not 4"},
    {"stray a at point 1 into central 1 value 1\n", "4:33: expected \"value\", not \"1\""},
    {"stray a at point 1 into heap offset 1000M value 1\n", "4:37: expected the offset, a number"},
    {"stray a at point 1 into heap offset 1000000000 value 1\n", "4:37: the offset lies beyond the segment"},
    {"stray a at point 1 into heap offset 8\n", "4:38: expected \"value\", not the end of the line"},
    {"stray a at point 1 into heap value\n", "4:35: expected the value, a number"},
    {"recover r1\n", "4:9: expected \"by\", not \"r1\""},
    {"recover by\n", "4:11: expected a name"},
    {"recover by r1 at store 1\n", "4:15: expected \"killed\", not \"at\""},
    {"recover by r1 killed at store 1\n", "4:12: the last recoverer must live"},
    {"recover by r2\nrecover by r1 killed at store 1\n", "5:12: the last recoverer must live"},
    {"put \"k\"\n", "4:1: expected a statement, not \"put\""},
    {"segment {\n  heap 1\n  max-clients 1024\n  max-pins 16777216\n  max-objects 1073741824\n}\nbye\n",
     "10:1: expected a statement, not \"bye\""},
};

void ExpectError(const std::string& text, const WrongText& wrong) {
  const ParsedPlan parsed = ParsePlan(text);
  ASSERT_FALSE(parsed) << text;
  const std::string error = ShowError(parsed.error);
  EXPECT_EQ(error.substr(0, std::string(wrong.error).size()), wrong.error) << error << "\n" << text;
  EXPECT_NE(error.find(wrong.also), std::string::npos) << error << "\n" << text;
}

TEST(PlanErrorsTest, EachErrorSaysWhereItIsAndWhatWasExpected) {
  for (const WrongText& wrong : kWrongTexts) ExpectError(wrong.text, wrong);
  for (const WrongText& wrong : kWrongStatements) ExpectError(std::string("lightning plan 1\n") + wrong.text, wrong);
  for (const WrongText& wrong : kWrongAfterClient)
    ExpectError(std::string("lightning plan 1\n") + kClient + wrong.text, wrong);
}

TEST(PlanErrorsTest, ABatchHasAtMost64Puts) {
  std::string text = "lightning plan 1\nclient a {\n  batch {\n";
  for (int i = 0; i < 64; ++i) text += "    put \"" + std::to_string(i) + "\"\n";
  EXPECT_TRUE(ParsePlan(text + "  }\n}\n"));
  const ParsedPlan parsed = ParsePlan(text + "    put \"x\"\n  }\n}\n");
  ASSERT_FALSE(parsed);
  EXPECT_EQ(ShowError(parsed.error), "68:5: a batch has at most 64 puts");
}

TEST(PlanErrorsTest, AKeyHasAtMost1024Bytes) {
  auto text = [](size_t size) { return "lightning plan 1\nclient a {\n  get \"" + std::string(size, 'k') + "\"\n}\n"; };
  EXPECT_TRUE(ParsePlan(text(1024)));
  const ParsedPlan parsed = ParsePlan(text(1025));
  ASSERT_FALSE(parsed);
  EXPECT_EQ(ShowError(parsed.error), "3:7: a key has at most 1024 bytes, not 1025");
}

TEST(PlanErrorsTest, TheNearestWordIsTheOneWithTheFewestEdits) {
  constexpr std::string_view kKnown[] = {"seal", "seed", "subscribe", "put"};
  EXPECT_EQ(NearestWord("sele", kKnown), "seal");
  EXPECT_EQ(NearestWord("subscirbe", kKnown), "subscribe");
  EXPECT_EQ(NearestWord("pt", kKnown), "put");
  EXPECT_EQ(NearestWord("xyzzy", kKnown), "");
  EXPECT_EQ(NearestWord("", kKnown), "");
  EXPECT_EQ(NearestWord(std::string(1'000'000, 's'), kKnown), "");
}

}  // namespace
}  // namespace lightning::faults
