#include "store/cli/text.h"

#include <gtest/gtest.h>

namespace lightning::cli {
namespace {

using namespace std::string_view_literals;

TEST(TextTest, Utf8) {
  for (const auto good :
       {""sv, "abc\0d"sv, "\xC3\xA9"sv, "\xE2\x82\xAC"sv, "\xF0\x9F\x98\x80"sv, "\xF4\x8F\xBF\xBF"sv}) {
    EXPECT_TRUE(IsUtf8(good)) << ToHex(good);
  }
  for (const auto bad : {"\x80"sv, "\xC3"sv, "\xC0\x80"sv, "\xE0\x80\x80"sv, "\xED\xA0\x80"sv, "\xF4\x90\x80\x80"sv,
                         "\xF5\x80\x80\x80"sv, "\xE2\x82"sv, "\xE2\x28\xA1"sv, "\xFF"sv}) {
    EXPECT_FALSE(IsUtf8(bad)) << ToHex(bad);
  }
}

TEST(TextTest, EscapeKeepsWhatCanBeRead) {
  EXPECT_EQ(Escape("plain text"), "plain text");
  EXPECT_EQ(Escape("caf\xC3\xA9"), "caf\xC3\xA9");
  EXPECT_EQ(Escape("a\\b"), "a\\\\b");
  EXPECT_EQ(Escape("a\0b\n\x7F"sv), "a\\x00b\\x0a\\x7f");
  EXPECT_EQ(Escape("\xFFx\xC3"), "\\xffx\\xc3");
  EXPECT_EQ(Escape("\xC2\x9B"), "\\xc2\\x9b") << "a terminal may take it for an escape sequence";
}

TEST(TextTest, HexGoesBothWays) {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  EXPECT_EQ(FromHex(ToHex(all)), all);
  EXPECT_EQ(ToHex("\x00\xAB"sv), "00ab");
  EXPECT_EQ(FromHex("00AB"), "\x00\xAB"sv);
  EXPECT_EQ(FromHex(""), "");
  for (const char* bad : {"0", "0g", "zz", "0x00", " 00"}) EXPECT_EQ(FromHex(bad), std::nullopt) << bad;
}

// The examples of RFC 4648, section 10.
TEST(TextTest, Base64) {
  EXPECT_EQ(ToBase64(""), "");
  EXPECT_EQ(ToBase64("f"), "Zg==");
  EXPECT_EQ(ToBase64("fo"), "Zm8=");
  EXPECT_EQ(ToBase64("foo"), "Zm9v");
  EXPECT_EQ(ToBase64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(ToBase64("\xFB\xFF\x00"sv), "+/8A");
}

TEST(TextTest, Sizes) {
  EXPECT_EQ(ParseSize("0"), 0u);
  EXPECT_EQ(ParseSize("4096"), 4096u);
  EXPECT_EQ(ParseSize("64K"), 65536u);
  EXPECT_EQ(ParseSize("64k"), 65536u);
  EXPECT_EQ(ParseSize("3MiB"), 3u << 20);
  EXPECT_EQ(ParseSize("2GB"), uint64_t{2} << 30);
  EXPECT_EQ(ParseSize("1T"), uint64_t{1} << 40);
  EXPECT_EQ(ParseSize("18446744073709551615"), UINT64_MAX);
  for (const char* bad : {"", "K", "-1", "1.5M", "12Q", "1Kx", "1KiBx", " 1", "1 K", "18446744073709551616",
                          "18446744073709551615K", "16777216T", "1\x0b"}) {
    EXPECT_EQ(ParseSize(bad), std::nullopt) << bad;
  }
}

TEST(TextTest, HumanBytes) {
  EXPECT_EQ(HumanBytes(0), "0 B");
  EXPECT_EQ(HumanBytes(1023), "1023 B");
  EXPECT_EQ(HumanBytes(1536), "1.5 KiB");
  EXPECT_EQ(HumanBytes(uint64_t{256} << 20), "256.0 MiB");
  EXPECT_EQ(HumanBytes(UINT64_MAX), "16384.0 PiB");
}

}  // namespace
}  // namespace lightning::cli
