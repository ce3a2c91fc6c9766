#include "faults/engine/victim.h"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <sstream>

#include "faults/engine/plan_runner.h"
#include "faults/plan/plan_text.h"

namespace lightning::faults {
namespace {

// Where the tracer begins and ends. A breakpoint that nobody planted.
inline void Marker(Code code) { asm volatile("int3" ::"a"(static_cast<uint64_t>(code)) : "memory"); }

[[noreturn]] void Fail(const std::string& why) {
  fmt::print(stderr, "victim: {}\n", why);
  _exit(3);
}

}  // namespace

PlanFile::~PlanFile() {
  if (!path_.empty()) unlink(path_.c_str());
}

std::string PlanFile::Write(const Plan& plan) {
  static uint32_t count = 0;
  path_ = fmt::format("/dev/shm/lightning-faults.{:010}.{:06}.plan", getpid(), ++count % 1'000'000);
  std::ofstream file(path_, std::ios::binary | std::ios::trunc);
  file << PrintPlan(plan);
  file.close();
  return file ? "" : "writing " + path_;
}

void RunVictim(const std::string& plan_file, const std::string& client, const std::string& path, Isolation isolation,
               const PlantedBug& planted) {
  // A debugger is no ancestor of this process; where only ancestors may look into one (Yama), it may all the same.
  prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
  std::ifstream file(plan_file, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  const ParsedPlan parsed = ParsePlan(text.str());
  if (!parsed) Fail(plan_file + ":" + ShowError(parsed.error));
  const PlanClient* its = nullptr;
  for (const PlanClient& one : parsed.plan->clients) its = one.name == client ? &one : its;
  if (its == nullptr) Fail("the plan has no client " + client);
  Options options;
  options.mode = OpenMode::kOpen;
  options.isolation = isolation;
  const Result<Store> store = Store::Open(path, options);
  if (!store.ok()) Fail(store.status().ToString());
  PlanRunner runner(*store, *its);
  const Status status = runner.Begin();
  if (!status.ok()) Fail(status.ToString());
  for (size_t i = 0; i < its->operations.size(); ++i) {
    Marker(Code::kOk);
    if (planted) planted(its->operations[i]);
    Marker(runner.Do(i));
    runner.Settle(i);
  }
  _exit(0);
}

}  // namespace lightning::faults
