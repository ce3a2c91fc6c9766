// What may be found in the store at each place of a plan that the step engine runs, by the sequential model: before,
// inside and after each operation of the client that is stepped. Clients of such a plan take turns; only where one was
// killed on the way does more than one past come into question.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "faults/model/content.h"
#include "faults/plan/plan.h"
#include "lightning/status.h"

namespace lightning::faults {

// A content that a death inside the operation may leave.
struct Possible {
  Content content;
  int64_t events = -1;  // that the operation has appended by then; -1: not known
};

// What the operation may answer, and what is in the store then.
struct Ending {
  Code code = Code::kOk;
  Content content;
};

struct Expectation {
  std::vector<Possible> allowed;  // the first ones: nothing has happened
  std::vector<Ending> endings;
  std::vector<std::string> touched;  // keys that the operation is about, or that a dead client's was
};

// The client that is stepped: the last one that has operations. clients.size() when none has.
size_t SteppedClient(const Plan& plan);
// Whether the plan kills this client on the way to the stepped one's operations.
bool IsKilledBefore(const Plan& plan, size_t client);

class Outcomes {
 public:
  // Up to the first operation of the stepped client: every `before`, then the operations of the clients in front of it,
  // of which those that the plan kills may have stopped anywhere. REQUIRES: SteppedClient(plan) is a client; not both
  // evictions and a client killed before, whose recency nobody can know.
  explicit Outcomes(const Plan& plan);
  ~Outcomes();
  Outcomes(const Outcomes&) = delete;  // pasts point into the plan
  Outcomes& operator=(const Outcomes&) = delete;

  // The operation that comes next.
  Expectation Next() const;
  // It ended so. REQUIRES: one of Next()'s endings.
  void Ended(Code code, const Content& content);

 private:
  struct World;
  std::vector<World> Inside(const World& world, size_t client, const PlanOperation& operation) const;
  std::vector<World> After(const World& world, size_t client, const PlanOperation& operation) const;

  const Plan plan_;
  const size_t stepped_;
  size_t next_ = 0;
  bool somebody_died_ = false;
  std::vector<std::string> touched_by_the_dead_;
  std::vector<World> worlds_;
};

}  // namespace lightning::faults
