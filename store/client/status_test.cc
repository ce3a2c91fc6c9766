#include "lightning/status.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <set>
#include <string>

#include "lightning/client.h"
#include "lightning/options.h"

namespace lightning {
namespace {

constexpr int32_t kLastCode = static_cast<int32_t>(Code::kIsolationBroken);

TEST(CodeTest, EachHasAName) {
  std::set<std::string> names;
  for (int32_t i = 0; i <= kLastCode; ++i) {
    const std::string name = CodeName(static_cast<Code>(i));
    EXPECT_FALSE(name.empty());
    EXPECT_NE(name, "UNKNOWN") << i;
    EXPECT_EQ(name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ_"), std::string::npos) << name;
    EXPECT_TRUE(names.insert(name).second) << name << " stands for two codes";
  }
}

// Scripts rely on the numbers and names.
TEST(CodeTest, NamesBelongToTheirNumbers) {
  EXPECT_STREQ(CodeName(static_cast<Code>(0)), "OK");
  EXPECT_STREQ(CodeName(static_cast<Code>(1)), "NOT_FOUND");
  EXPECT_STREQ(CodeName(static_cast<Code>(5)), "SEGMENT_FULL");
  EXPECT_STREQ(CodeName(static_cast<Code>(13)), "TIMEOUT");
  EXPECT_STREQ(CodeName(static_cast<Code>(19)), "CORRUPT");
  EXPECT_STREQ(CodeName(static_cast<Code>(23)), "UNSUPPORTED");
  EXPECT_STREQ(CodeName(static_cast<Code>(25)), "NO_SEGMENT");
  EXPECT_STREQ(CodeName(static_cast<Code>(26)), "SYSTEM");
}

TEST(CodeTest, EachMessageNamesTheCauseAndARemedy) {
  std::set<std::string> messages;
  for (int32_t i = 1; i <= kLastCode; ++i) {
    const std::string message = CodeMessage(static_cast<Code>(i));
    const size_t colon = message.find(": ");
    ASSERT_NE(colon, std::string::npos) << message;
    EXPECT_GT(colon, 10u) << message;
    EXPECT_GT(message.size() - colon, 12u) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    EXPECT_TRUE(messages.insert(message).second) << message;
  }
}

TEST(CodeTest, UnknownOnesAreNamedAsSuch) {
  for (const int32_t number : {-1, kLastCode + 1, INT32_MAX, INT32_MIN}) {
    EXPECT_STREQ(CodeName(static_cast<Code>(number)), "UNKNOWN");
    EXPECT_NE(std::string(CodeMessage(static_cast<Code>(number))).find("unknown"), std::string::npos);
  }
}

TEST(StatusTest, OkIsShort) {
  EXPECT_TRUE(Status().ok());
  EXPECT_EQ(Status().ToString(), "OK");
}

TEST(StatusTest, TextNamesCodeMessageDetailAndErrno) {
  const std::string full = std::string("SEGMENT_FULL: ") + CodeMessage(Code::kSegmentFull);
  EXPECT_EQ(Status(Code::kSegmentFull).ToString(), full);
  EXPECT_EQ(Status(Code::kSegmentFull, "").ToString(), full);
  EXPECT_EQ(Status(Code::kSegmentFull, "asked for 7").ToString(), full + " (asked for 7)");
  const std::string system = std::string("SYSTEM: ") + CodeMessage(Code::kSystem);
  EXPECT_EQ(Status(Code::kSystem, nullptr, EIO).ToString(), system + " (" + std::strerror(EIO) + ")");
  EXPECT_EQ(Status(Code::kSystem, "mmap", ENOMEM).ToString(), system + " (mmap; " + std::strerror(ENOMEM) + ")");
}

TEST(StatusTest, ResultCarriesItsStatus) {
  const Result<int> absent = Code::kNotFound;
  EXPECT_FALSE(absent.ok());
  EXPECT_EQ(absent.code(), Code::kNotFound);
  const Result<int> present = 7;
  ASSERT_TRUE(present.ok());
  EXPECT_EQ(*present, 7);
  EXPECT_TRUE(present.status().ok());
}

TEST(IsolationTest, NamesAndParsingAgree) {
  const char* const names[] = {"auto", "keys", "mprotect", "hidden", "none"};
  for (uint8_t i = 0; i < 5; ++i) {
    const auto isolation = static_cast<Isolation>(i);
    EXPECT_STREQ(IsolationName(isolation), names[i]);
    Isolation parsed = i == 0 ? Isolation::kNone : Isolation::kAuto;
    ASSERT_TRUE(ParseIsolation(names[i], &parsed));
    EXPECT_EQ(parsed, isolation);
  }
  EXPECT_STREQ(IsolationName(static_cast<Isolation>(5)), "unknown");
}

TEST(IsolationTest, UnknownNamesChangeNothing) {
  Isolation parsed = Isolation::kHidden;
  for (const char* name : {"", "Keys", "keys ", "pku", "unknown"}) {
    EXPECT_FALSE(ParseIsolation(name, &parsed)) << name;
    EXPECT_EQ(parsed, Isolation::kHidden);
  }
  EXPECT_FALSE(ParseIsolation(nullptr, &parsed));
  EXPECT_FALSE(ParseIsolation("keys", nullptr));
}

TEST(EventKindTest, Names) {
  EXPECT_STREQ(EventKindName(EventKind::kSealed), "sealed");
  EXPECT_STREQ(EventKindName(EventKind::kDeleted), "deleted");
  EXPECT_STREQ(EventKindName(EventKind::kEvicted), "evicted");
  EXPECT_STREQ(EventKindName(static_cast<EventKind>(0)), "unknown");
}

}  // namespace
}  // namespace lightning
