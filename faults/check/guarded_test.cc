#include "faults/check/guarded.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>

namespace lightning::faults {
namespace {

TEST(GuardedTest, ReturnsWhatTheBodyReturns) {
  EXPECT_EQ(Guarded(5, [] { return std::string("said"); }), "said");
  EXPECT_EQ(Guarded(5, [] { return std::string(); }), "");
}

TEST(GuardedTest, AFaultIsAnError) {
  EXPECT_NE(Guarded(5,
                    []() -> std::string {
                      raise(SIGSEGV);
                      return "";
                    }),
            "");
  EXPECT_NE(Guarded(5, []() -> std::string { abort(); }), "");
  EXPECT_EQ(Guarded(5, [] { return std::string(); }), "") << "and the next one is judged afresh";
}

TEST(GuardedTest, AHangIsAnError) {
  volatile bool forever = true;
  EXPECT_NE(Guarded(1,
                    [&]() -> std::string {
                      while (forever) {
                      }
                      return "";
                    })
                .find("hangs"),
            std::string::npos);
}

}  // namespace
}  // namespace lightning::faults
