#include "faults/engine/clients_inside.h"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <utility>

#include "faults/target/segments.h"

namespace lightning::faults {
namespace {

[[gnu::noinline]] void StandStill() {
  while (true) pause();
}

TEST(ClientsInsideTest, NamesTheClientInTheMiddleOfAnOperationAndWhereItsProcessStands) {
  Options options;
  options.hash_seed = 1;
  MemorySegment memory(options);
  const Result<Client> client = memory.Attach();
  ASSERT_TRUE(client.ok());
  EXPECT_EQ(ClientsInside(memory.segment()), "nobody is inside an operation");
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    StandStill();
  }
  // As if the child were this client, in the middle of an operation.
  const auto word = [&](const OwnWord& of) {
    return reinterpret_cast<uint64_t*>(memory.data() + memory.segment().OffsetOf(&of));
  };
  const Slot& slot = memory.segment().slot(0);
  const uint64_t pid = std::exchange(*word(slot.pid), static_cast<uint64_t>(child));
  *word(slot.activity) += 1;
  const std::string text = ClientsInside(memory.segment());
  EXPECT_TRUE(text.starts_with("slot 0 (active, generation 1; log count 0, locks held 0, activity ")) << text;
  EXPECT_NE(text.find("pid " + std::to_string(child) + " at "), std::string::npos) << text;
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  *word(slot.activity) -= 1;
  *word(slot.pid) = pid;
}

}  // namespace
}  // namespace lightning::faults
