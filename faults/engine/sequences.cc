#include "faults/engine/sequences.h"

#include <fmt/format.h>

#include <algorithm>

#include "faults/check/guarded.h"
#include "faults/engine/parts.h"
#include "faults/engine/sequence_runner.h"
#include "faults/report/progress.h"
#include "store/gate/process_key.h"

namespace lightning::faults {
namespace {

// All that follows from the seed.
struct Script {
  Options options;
  SequenceShape shape;
  std::vector<std::string> keys;
  std::vector<Operation> operations;
};

Script MakeScript(const Sequence& sequence) {
  Random random(MixSeeds(sequence.seed, 11));
  Script script;
  Options& options = script.options;
  options.hash_seed = random.Next() | 1;
  options.max_objects = static_cast<uint32_t>(16 << random.Below(4));
  options.max_clients = 8;
  options.max_pins = random.Percent(20) ? 8 : 32;
  options.event_slots = static_cast<uint32_t>(8 << random.Below(3));
  options.eviction = random.Percent(40) ? Eviction::kLru : Eviction::kNone;
  script.shape.clients = random.Percent(30) ? 1 : static_cast<uint32_t>(2 + random.Below(3));
  script.shape.largest_value = random.Percent(30) ? 40'000 : 4096;
  script.shape.events = random.Percent(50);
  // Sometimes objects run out first, sometimes bytes.
  const uint64_t heap = (64 + random.Below(400)) * 1024;
  for (options.size = heap;; options.size += 16 * kPageSize) {
    const Result<Geometry> geometry = Geometry::Compute(options);
    if (geometry.ok() && uint64_t{geometry->heap_granules} * kGranule >= heap) break;
  }
  script.keys = MakeKeys(random, options.max_objects * 3 / 2 + 8);
  script.operations = MakeSequence(random, script.shape, static_cast<uint32_t>(script.keys.size()), sequence.count);
  return script;
}

std::string RunScript(const Script& script, const Sequence& sequence, SequenceResult* result) {
  std::unique_ptr<TestSegment> target;
  if (sequence.over == "memory") {
    target = std::make_unique<MemorySegment>(script.options);
  } else {
    Options options = script.options;
    if (!ParseIsolation(sequence.over.c_str(), &options.isolation)) return "no such mode: " + sequence.over;
    Result<std::unique_ptr<FileSegment>> file = FileSegment::Create(options);
    if (!file.ok()) return "making the segment: " + file.status().ToString();
    target = std::move(*file);
  }
  SequenceRunner runner(*target, script.options, script.keys, script.shape.clients);
  std::string error;
  auto run = [&](uint64_t number) {
    result->failed_at = number;
    ++result->ran;
    error = runner.Run(script.operations[number]);
    return error.empty();
  };
  if (sequence.only.empty()) {
    for (uint64_t i = 0; i < script.operations.size() && run(i); ++i) {
    }
  } else {
    for (const uint64_t number : sequence.only) {
      if (number < script.operations.size() && !run(number)) break;
    }
  }
  if (!error.empty()) return error;
  error = runner.Finish();
  return error.empty() ? "" : "at the end: " + error;
}

constexpr size_t kShownOperations = 60;

bool Works(const std::string& over) { return over != "keys" || MachineHasKeys(); }

}  // namespace

SequenceResult RunSequence(const Sequence& sequence) {
  const Script script = MakeScript(sequence);
  SequenceResult result;
  result.error = Guarded(300, [&] { return RunScript(script, sequence, &result); });
  return result;
}

Sequence Shrink(const Sequence& sequence, const SequenceResult& failure, double seconds) {
  const Clock::time_point begin = Clock::now();
  Sequence best = sequence;
  best.only.clear();
  if (sequence.only.empty()) {
    for (uint64_t i = 0; i <= std::min(failure.failed_at, sequence.count - 1); ++i) best.only.push_back(i);
  } else {
    best.only = sequence.only;
  }
  for (size_t chunk = best.only.size() / 2; chunk > 0; chunk /= 2) {
    for (size_t at = 0; at < best.only.size() && SecondsSince(begin) < seconds;) {
      Sequence fewer = best;
      const auto from = fewer.only.begin() + static_cast<std::ptrdiff_t>(at);
      const auto to = fewer.only.begin() + static_cast<std::ptrdiff_t>(std::min(at + chunk, fewer.only.size()));
      fewer.only.erase(from, to);
      if (!fewer.only.empty() && !RunSequence(fewer).error.empty()) {
        best = std::move(fewer);
      } else {
        at += chunk;
      }
    }
  }
  return best;
}

std::string ShowSequence(const Sequence& sequence) {
  const Script script = MakeScript(sequence);
  std::string text =
      fmt::format("{} objects at most, {} clients, {}\n", script.options.max_objects, script.shape.clients,
                  script.options.eviction == Eviction::kLru ? "evicting" : "not evicting");
  for (const uint64_t number : sequence.only) {
    if (number < script.operations.size() && sequence.only.size() <= kShownOperations)
      text += fmt::format("  {:>6}  {}\n", number, Show(script.operations[number], script.keys));
  }
  return text;
}

std::string CommandOf(const Sequence& sequence) {
  std::string command = fmt::format("lightning-faults ops --episodes 1 --seed {} --operations {} --over {}",
                                    sequence.seed, sequence.count, sequence.over);
  // A long list says no more than the whole, and a command line has an end.
  for (size_t i = 0; i < sequence.only.size() && sequence.only.size() <= kShownOperations; ++i)
    command += fmt::format("{}{}", i == 0 ? " --only " : ",", sequence.only[i]);
  return command;
}

OpsPart RunOpsPart(uint64_t seed, const std::string& over, const Budget& budget, Findings* findings) {
  constexpr uint64_t kEpisode = 10'000;
  OpsPart part;
  Progress progress("ops  ", budget.quiet);
  const Clock::time_point begin = Clock::now();
  std::vector<std::string> modes;
  for (const char* mode : {"memory", "none", "memory", "hidden", "memory", "mprotect", "memory", "keys"}) {
    if ((over.empty() || over == mode) && Works(mode)) modes.push_back(mode);
  }
  for (uint64_t episode = 0; SecondsSince(begin) < budget.seconds || part.count < budget.at_least; ++episode) {
    Sequence sequence;
    sequence.seed = episode == 0 ? seed : MixSeeds(seed, episode);
    sequence.over = modes[episode % modes.size()];
    // A window costs microseconds in these; the same operations, fewer of them.
    const bool slow = sequence.over == "mprotect";
    sequence.count = slow ? kEpisode / 4 : kEpisode;
    const SequenceResult result = RunSequence(sequence);
    part.count += result.ran;
    ++part.episodes;
    if (!result.error.empty()) {
      const Sequence small = Shrink(sequence, result, budget.quiet ? 5 : 20);
      const bool shown = small.only.size() <= kShownOperations;
      const SequenceResult again = shown ? RunSequence(small) : result;
      findings->push_back({"ops",
                           fmt::format("operation {} of seed {} over {}: {}\n{}", again.failed_at, small.seed,
                                       small.over, again.error, ShowSequence(small)),
                           CommandOf(small)});
      break;
    }
    progress.Show(fmt::format("{} operations in {} segments", part.count, part.episodes));
  }
  part.seconds = SecondsSince(begin);
  std::sort(modes.begin(), modes.end());
  modes.erase(std::unique(modes.begin(), modes.end()), modes.end());
  for (const std::string& mode : modes) part.modes += fmt::format("{}{}", part.modes.empty() ? "" : ", ", mode);
  return part;
}

}  // namespace lightning::faults
