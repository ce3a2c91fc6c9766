#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "lightning/c.h"
#include "store/testing/testing.h"

namespace lightning {
namespace {

TEST(CIsolationTest, AnAuditCountsAndTellsWhatItFinds) {
  test::SegmentName name;
  lightning_options options;
  ASSERT_EQ(lightning_options_init(&options), LIGHTNING_OK);
  EXPECT_TRUE(options.audit);
  EXPECT_FALSE(options.seal);
  options.size = 1 << 20;
  options.max_objects = 32;
  options.max_clients = 4;
  options.isolation = LIGHTNING_ISOLATION_HIDDEN;
  lightning_client* client = nullptr;
  ASSERT_EQ(lightning_open(name.name().c_str(), &options, &client), LIGHTNING_OK) << lightning_last_error();
  lightning_audit_result result = {};
  EXPECT_EQ(lightning_audit(nullptr, nullptr, &result), LIGHTNING_OK);
  EXPECT_EQ(result.clients, 1u);
  EXPECT_EQ(result.findings, 0u);
  const ScopedFd fd(open(name.path().c_str(), O_RDWR | O_CLOEXEC));
  void* alias = mmap(nullptr, options.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  ASSERT_NE(alias, MAP_FAILED);
  const auto note = [](lightning_breach breach, const char* message, void* context) {
    *static_cast<std::string*>(context) += std::string(lightning_breach_name(breach)) + (*message != 0 ? "!" : "");
  };
  std::string told;
  EXPECT_EQ(lightning_audit(note, &told, &result), LIGHTNING_OK);
  EXPECT_EQ(result.findings, 1u);
  EXPECT_EQ(told, "alias!");
  // Attaching finds it as well.
  ASSERT_EQ(lightning_on_breach(note, &told), LIGHTNING_OK);
  lightning_client* second = nullptr;
  EXPECT_EQ(lightning_open(name.name().c_str(), &options, &second), LIGHTNING_ISOLATION_BROKEN);
  EXPECT_EQ(second, nullptr);
  EXPECT_EQ(told, "alias!alias!");
  ASSERT_EQ(lightning_on_breach(nullptr, nullptr), LIGHTNING_OK);
  munmap(alias, options.size);
  EXPECT_EQ(lightning_audit(nullptr, nullptr, nullptr), LIGHTNING_INVALID_ARGUMENT);
  EXPECT_EQ(lightning_close(client), LIGHTNING_OK);
}

TEST(CIsolationTest, HardeningForbids) {
  test::SegmentName name;
  const int status = test::RunInChild([&] {
    lightning_options options;
    lightning_options_init(&options);
    options.size = 1 << 20;
    options.max_objects = 32;
    options.max_clients = 4;
    lightning_client* client = nullptr;
    if (lightning_open(name.name().c_str(), &options, &client) != LIGHTNING_OK) return 1;
    if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0 || lightning_harden(true, false) != LIGHTNING_OK) return 2;
    if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0 || errno != EPERM) return 3;
    return lightning_put(client, "key", 3, "value", 5, nullptr, 0, 0, nullptr) == LIGHTNING_OK ? 0 : 4;
  });
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace lightning
