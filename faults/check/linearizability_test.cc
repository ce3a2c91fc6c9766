#include "faults/check/linearizability.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "faults/check/every_order.h"
#include "faults/check/operations_for_tests.h"
#include "faults/model/random.h"

namespace lightning::faults {
namespace {

using Operations = std::vector<RegisterOperation>;
using Kind = RegisterKind;
using Answer = RegisterAnswer;

constexpr uint64_t kA = 1, kB = 2, kC = 3;

Verdict Check(const Operations& operations, uint64_t initial = kAbsent) {
  LinearizabilityChecker checker;
  return checker.CheckRegister(operations, {}, initial);
}
constexpr Verdict kOk = Verdict::kOk, kIllegal = Verdict::kIllegal;

RegisterOperation RandomOperation(Random* random, uint64_t values, bool plain) {
  RegisterOperation o;
  o.kind = static_cast<Kind>(random->Below(5));
  if (plain && o.kind == Kind::kContains) o.kind = Kind::kGet;
  if (plain && o.kind == Kind::kReplace) o.kind = Kind::kPut;
  o.value = random->Between(o.kind == Kind::kGet ? 0 : 1, values);
  o.expected = random->Below(values + 1);
  o.answer = random->Percent(50) ? Answer::kYes : Answer::kNo;
  if (o.kind == Kind::kDelete && random->Percent(50)) o.answer = Answer::kNone;
  if (o.kind == Kind::kDelete || o.kind == Kind::kContains) o.value = kAbsent;
  return o;
}

// Operations around instants at which they really happened, so that the history is legal; or anything.
Operations RandomHistory(Random* random, bool legal, uint64_t initial) {
  Operations operations;
  const uint64_t count = random->Between(1, 8), values = random->Between(1, 4), spread = random->Between(1, 6);
  // Many that are interrupted, and few kinds, make equal ones compete for the same places.
  const bool plain = random->Percent(50);
  const uint64_t interrupted_percent = random->Below(60);
  uint64_t value = initial;
  for (uint64_t i = 0; i < count; ++i) {
    RegisterOperation o = RandomOperation(random, values, plain);
    const uint64_t at = 10 + 2 * i;
    o.call = at - random->Below(spread + 1);
    o.ret = at + random->Below(spread + 1);
    if (o.kind == Kind::kReplace && random->Percent(60)) o.expected = value;
    if (legal) {
      if (o.kind == Kind::kGet) o.value = value;
      if (o.kind == Kind::kContains) o.answer = value != kAbsent ? Answer::kYes : Answer::kNo;
      if (o.kind == Kind::kReplace) o.answer = value == o.expected ? Answer::kYes : Answer::kNo;
      if (o.kind == Kind::kDelete && o.answer != Answer::kNone)
        o.answer = value != kAbsent ? Answer::kYes : Answer::kNo;
    }
    o.interrupted = random->Percent(interrupted_percent);
    if (o.interrupted && random->Percent(66)) o.ret = kNever;
    if (!o.interrupted || random->Percent(50)) value = ApplyToRegister(o, value).value_or(value);
    operations.push_back(o);
  }
  for (size_t i = operations.size(); i > 1; --i) std::swap(operations[i - 1], operations[random->Below(i)]);
  return operations;
}

std::string Show(const Operations& operations) {
  std::string text;
  for (const RegisterOperation& o : operations) {
    text += "kind " + std::to_string(static_cast<int>(o.kind)) + " answer " +
            std::to_string(static_cast<int>(o.answer)) + " value " + std::to_string(o.value) + " expected " +
            std::to_string(o.expected) + (o.interrupted ? " interrupted" : "") + " [" + std::to_string(o.call) + ", " +
            (o.ret == kNever ? "never" : std::to_string(o.ret)) + "]\n";
  }
  return text;
}

TEST(LinearizabilityTest, AgreesWithEveryOrderOfSmallHistories) {
  Random random(1);
  LinearizabilityChecker checker;  // one for all, so that what it keeps is tried too
  int verdicts[2][2] = {};
  for (int i = 0; i < 250'000; ++i) {
    const uint64_t initial = random.Below(3);
    const bool legal = i % 2 == 0;
    const Operations operations = RandomHistory(&random, legal, initial);
    const Verdict verdict = checker.CheckRegister(operations, {}, initial);
    ASSERT_EQ(verdict, CheckByEveryOrder(operations, initial)) << "history " << i << ", initial " << initial << "\n"
                                                               << Show(operations);
    ASSERT_TRUE(verdict == kOk || !legal) << "history " << i;
    Explanation explanation;
    ASSERT_EQ(checker.Explain(operations, {}, initial, &explanation), verdict) << "history " << i;
    ++verdicts[legal][verdict == kOk];
  }
  EXPECT_GT(verdicts[0][0], 10'000);
  EXPECT_GT(verdicts[0][1], 2'000);
}

TEST(LinearizabilityTest, AStaleReadIsIllegal) {
  EXPECT_EQ(Check({Put(kA, 10, 20), Put(kB, 30, 40), Get(kA, 50, 60)}), kIllegal);
  EXPECT_EQ(Check({Put(kA, 10, 20), Put(kB, 30, 55), Get(kA, 50, 60)}), kOk) << "they overlap";
  EXPECT_EQ(Check({Put(kA, 10, 20), Put(kB, 30, 50), Get(kA, 50, 60)}), kOk) << "they touch, so they overlap";
}

TEST(LinearizabilityTest, TwoReadsThatSeeTwoWritesInBothOrdersAreIllegal) {
  EXPECT_EQ(Check({Put(kA, 10, 90), Put(kB, 10, 90), Get(kA, 20, 25), Get(kB, 30, 35), Get(kA, 40, 45)}), kIllegal);
  EXPECT_EQ(
      Check({Put(kA, 10, 90), Put(kB, 10, 90), Put(kA, 10, 90), Get(kA, 20, 25), Get(kB, 30, 35), Get(kA, 40, 45)}),
      kOk)
      << "it was written twice";
}

TEST(LinearizabilityTest, ALostUpdateIsIllegal) {
  EXPECT_EQ(Check({Put(kA, 1, 2), Replace(kA, kB, Answer::kYes, 3, 4), Get(kA, 5, 6)}), kIllegal);
  EXPECT_EQ(Check({Put(kA, 1, 2), Replace(kA, kB, Answer::kYes, 3, 9), Replace(kA, kC, Answer::kYes, 4, 8)}), kIllegal)
      << "both replaced the same";
  EXPECT_EQ(Check({Put(kA, 1, 2), Replace(kA, kB, Answer::kYes, 3, 9), Replace(kA, kC, Answer::kNo, 4, 8)}), kOk);
}

TEST(LinearizabilityTest, ADeleteThatWasInterruptedCannotBeTakenBack) {
  EXPECT_EQ(Check({Put(kA, 1, 2), Delete(3), Get(kAbsent, 5, 6), Get(kA, 7, 8)}), kIllegal);
  EXPECT_EQ(Check({Put(kA, 1, 2), Delete(3), Get(kA, 5, 6), Get(kAbsent, 7, 8)}), kOk) << "it took effect late";
  EXPECT_EQ(Check({Put(kA, 1, 2), Delete(3), Get(kA, 5, 6)}), kOk) << "never";
}

TEST(LinearizabilityTest, AnInterruptedOperationThatIsKnownToBeOverTakesNoEffectAfterThat) {
  RegisterOperation put = Put(kB, 3, 6);
  put.interrupted = true;
  EXPECT_EQ(Check({Put(kA, 1, 2), put, Get(kA, 7, 8), Get(kB, 9, 10)}), kIllegal);
  EXPECT_EQ(Check({Put(kA, 1, 2), put, Get(kB, 7, 8)}), kOk);
  EXPECT_EQ(Check({Put(kA, 1, 2), put, Get(kA, 7, 8)}), kOk);
}

TEST(LinearizabilityTest, AnInterruptedOperationIsNotUsedUpByAnOrderThatLedNowhere) {
  RegisterOperation put = Put(kA, 1, 2), replace = Replace(kA, kB, Answer::kNone, 3, 4);
  put.interrupted = replace.interrupted = true;
  EXPECT_EQ(Check({put, replace, Delete(5), Get(kAbsent, 6, 7), Put(kC, 8, 9), Get(kAbsent, 10, 11)}), kOk);
}

TEST(LinearizabilityTest, AnInterruptedWriteMayRestoreWhatWasThere) {
  RegisterOperation replace = Replace(kB, kC, Answer::kNone, 11, 14);
  replace.interrupted = true;
  EXPECT_EQ(Check({Put(kB, 8), replace, Put(kA, 12, 15), Get(kC, 16, 18)}, kB), kOk) << "put A, put B, replace B by C";
}

TEST(LinearizabilityTest, AReadFromTheFutureIsIllegal) {
  EXPECT_EQ(Check({Get(kA, 1, 2), Put(kA, 3, 4)}), kIllegal);
  EXPECT_EQ(Check({Get(kA, 1, 2), Put(kA, 3)}), kIllegal);
  EXPECT_EQ(Check({Get(kA, 1, 2)}), kIllegal) << "nobody wrote it";
  EXPECT_EQ(Check({Get(kA, 1, 2)}, kA), kOk) << "it was there";
}

TEST(LinearizabilityTest, DeletesAndContainsSayWhatTheyFound) {
  EXPECT_EQ(Check({Put(kA, 1, 2), Delete(3, 4, Answer::kYes), Delete(5, 6, Answer::kNo)}), kOk);
  EXPECT_EQ(Check({Put(kA, 1, 2), Delete(3, 6, Answer::kYes), Delete(3, 6, Answer::kYes)}), kIllegal);
  EXPECT_EQ(Check({Contains(Answer::kYes, 1, 2)}), kIllegal);
  EXPECT_EQ(Check({Put(kA, 1), Contains(Answer::kYes, 1, 2), Contains(Answer::kYes, 7, 8)}), kOk);
}

TEST(LinearizabilityTest, TheExplanationSaysHowFarTheBestOrderCame) {
  LinearizabilityChecker checker;
  Explanation explanation;
  const Operations stale = {Get(kA, 50, 60), Put(kA, 10, 20), Put(kB, 30, 40)};
  ASSERT_EQ(checker.Explain(stale, {}, kAbsent, &explanation), kIllegal);
  EXPECT_EQ(explanation.order, (std::vector<uint32_t>{1, 2}));
  EXPECT_EQ(explanation.stuck, 0u);
  EXPECT_EQ(explanation.value, kB);
}

// Clients on one key that overlap all the time. Every eighth operation or so is interrupted.
Operations HotKey(uint64_t seed, uint64_t count, uint64_t values, uint64_t interrupted_percent) {
  Random random(seed);
  constexpr uint64_t kClients = 8;
  uint64_t now[kClients] = {}, value = kAbsent;
  Operations operations;
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t client = i % kClients, instant = 10 * i + 100;
    RegisterOperation o = random.Percent(50)   ? Get(value, 0, 0)
                          : random.Percent(70) ? Put(values == 0 ? i + 1 : random.Between(1, values), 0, 0)
                          : random.Percent(50)
                              ? Delete(0, 0)
                              : Replace(value, values == 0 ? i + 1 : random.Between(1, values), Answer::kYes, 0, 0);
    o.client = static_cast<uint32_t>(client);
    o.call = now[client] + 1;
    o.ret = instant + random.Between(1, 70);
    now[client] = o.ret;
    const bool interrupted = random.Percent(interrupted_percent);
    if (interrupted) o.ret = kNever;
    if (!interrupted || random.Percent(50)) value = *ApplyToRegister(o, value);
    operations.push_back(o);
  }
  return operations;
}

TEST(LinearizabilityTest, AHotKeyNeedsFewConfigurations) {
  struct Case {
    uint64_t count, values, interrupted_percent;  // values 0: each write has one of its own
  };
  LinearizabilityChecker checker;
  for (const Case& c : {Case{20'000, 0, 0}, Case{20'000, 0, 12}, Case{20'000, 2, 0}, Case{20'000, 2, 12},
                        Case{20'000, 20, 0}, Case{1'000, 20, 12}}) {
    Operations operations = HotKey(7, c.count, c.values, c.interrupted_percent);
    SearchBudget budget;
    budget.states = 10 * c.count;
    EXPECT_EQ(checker.CheckRegister(operations, budget), kOk) << c.values << " values, " << c.interrupted_percent;
    // All that has to be tried before the answer is no.
    operations.push_back(Get(1'000'000, 5 * c.count, 5 * c.count + 1));
    budget.states = 500 * c.count;
    EXPECT_EQ(checker.CheckRegister(operations, budget), kIllegal) << c.values << " values, " << c.interrupted_percent;
  }
}

TEST(LinearizabilityTest, ASmallBudgetGivesNoVerdict) {
  LinearizabilityChecker checker;
  const Operations operations = HotKey(3, 2000, 2, 12);
  SearchBudget budget;
  budget.states = 3;
  EXPECT_EQ(checker.CheckRegister(operations, budget), Verdict::kUnknown);
  EXPECT_EQ(checker.states(), 3u);
  EXPECT_EQ(CheckHistory(operations, budget).verdict, Verdict::kUnknown);
  EXPECT_EQ(checker.CheckRegister(operations), kOk);
}

TEST(LinearizabilityTest, EachKeyIsJudgedByItself) {
  Operations operations = {Put(kA, 1, 2), Put(kA, 1, 2), Get(kA, 3, 4), Get(kAbsent, 3, 4), Get(kA, 5, 6)};
  for (const size_t i : {size_t{1}, size_t{3}}) operations[i].key = 9;
  const KeyPartition keys(operations);
  ASSERT_EQ(keys.size(), 2u);
  EXPECT_TRUE(std::ranges::equal(keys.Key(0), std::vector<uint32_t>{0, 2, 4}));
  EXPECT_TRUE(std::ranges::equal(keys.Key(1), std::vector<uint32_t>{1, 3}));
  const HistoryVerdict verdict = CheckHistory(operations);
  EXPECT_EQ(verdict.verdict, kIllegal);
  EXPECT_EQ(verdict.keys, 2u);
  EXPECT_EQ(verdict.failing, (std::vector<uint32_t>{1, 3}));
}

}  // namespace
}  // namespace lightning::faults
