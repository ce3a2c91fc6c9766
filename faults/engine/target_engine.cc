#include "faults/engine/target_engine.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <unordered_map>
#include <unordered_set>

#include "faults/engine/decoder.h"
#include "faults/engine/looks.h"
#include "faults/engine/shared_files.h"
#include "faults/model/random.h"
#include "faults/report/markup.h"
#include "faults/report/source_line.h"

namespace lightning::faults {
namespace {

constexpr uint64_t kLongest = 20'000'000;  // instructions of one operation

// The first name that nobody uses: addresses and instruction counts may depend on it, and stay the same from run to
// run.
std::string MakeWorkDirectory(int* handle) {
  for (int i = 0; i < 1000; ++i) {
    const std::string path = fmt::format("/dev/shm/lightning-target-{:03}", i);
    std::filesystem::create_directory(path);
    *handle = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*handle >= 0 && flock(*handle, LOCK_EX | LOCK_NB) == 0) return path;
    if (*handle >= 0) close(*handle);
    *handle = -1;
  }
  return "";
}

bool AnswersNext(const Instruction& instruction, const user_regs_struct& registers) {
  return instruction.system_call && registers.rax == SYS_write && registers.rdi == STDOUT_FILENO;
}

// Whether the instruction that was just executed changed the shared files.
bool Changed(SharedFiles& files, const Instruction& instruction, const user_regs_struct& before, pid_t process) {
  if (instruction.unknown) return files.LookAtAll();
  if (instruction.system_call) {
    const bool changed = files.LookAtAll();
    if (changed || ChangesMappings(before.rax)) files.ReadMappings(process);
    return changed;
  }
  bool changed = false;
  for (uint8_t i = 0; i < instruction.operand_count; ++i) {
    uint64_t address = 0;
    if (!EffectiveAddress(instruction, instruction.operands[i], before, &address)) {
      changed |= files.LookAtAll();
      continue;
    }
    const SharedFiles::Place place = files.Find(address);
    if (place == SharedFiles::Place::kShared) changed |= files.LookAt(address);
    // The stack has grown; or the store did not happen, as that of a string instruction with count zero.
    if (place == SharedFiles::Place::kUnmapped) {
      files.ReadMappings(process);
      changed |= files.LookAtAll();
    }
  }
  return changed;
}

// To right before the instruction of the point, by a client that was told the operation.
std::string RunTo(TargetProcess* client, const TargetPoint& point) {
  if (point.times > 0) return client->RunTo(point.address, point.times);
  std::string error;
  for (uint64_t n = 1; n < point.instruction && error.empty(); ++n) error = client->Step();
  return error;
}

}  // namespace

// A store with the initial content, whoever survives, and the client that is going to die.
struct TargetEngine::Scene {
  std::unique_ptr<TargetProcess> survivor;  // null when the healer is a newcomer
  TargetProcess victim;
  std::unique_ptr<SharedFiles> files;

  // The store, and the survivor. An error text, or "".
  std::string Make(TargetEngine& engine, Healer healer) {
    std::error_code error;
    std::filesystem::remove_all(engine.store_, error);
    for (const std::string& path : engine.shared_) std::filesystem::remove(path, error);
    std::filesystem::create_directory(engine.store_, error);
    survivor = engine.NewClient();
    std::vector<std::string> commands = {"create", "attach"};
    for (const auto& [key, value] : engine.program_.initial) commands.push_back("put " + key + " " + value);
    if (healer == Healer::kNewcomer) commands.push_back("detach");
    for (const std::string& command : commands)
      if (const TargetAnswer answer = survivor->Ask(command); !answer.Well())
        return fmt::format("{}: {}", command, answer.Trouble());
    if (healer == Healer::kSurvivor) return "";
    survivor->Leave();
    survivor.reset();
    return "";
  }
  // The victim, stopped before operation `number`. An error text, or "".
  std::string StartVictim(TargetEngine& engine, size_t number) {
    std::string error = victim.StartTraced(engine.file_, engine.store_, engine.log_);
    if (error.empty()) error = RunVictim("name");
    for (size_t i = 0; i < number && error.empty(); ++i) error = RunVictim(engine.program_.operations[i].Command());
    return error;
  }
  std::string RunVictim(const std::string& command) {
    if (std::string error = victim.Send(command); !error.empty()) return error;
    return victim.RunToAnswer();
  }
};

TargetEngine::TargetEngine(TargetFile file) : file_(std::move(file)) {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  signal(SIGPIPE, SIG_IGN);
}

TargetEngine::~TargetEngine() {
  std::error_code error;
  for (const std::string& path : shared_) std::filesystem::remove(path, error);
  if (!work_.empty()) std::filesystem::remove_all(work_, error);
  if (work_handle_ >= 0) close(work_handle_);
}

bool TargetEngine::Fail(const std::string& error) {
  if (error_.empty()) error_ = error;
  return false;
}

std::unique_ptr<TargetProcess> TargetEngine::NewClient() {
  auto client = std::make_unique<TargetProcess>();
  if (const std::string error = client->Start(file_, store_, log_); !error.empty()) Fail(error);
  return client;
}

std::string TargetEngine::Prepare() {
  work_ = MakeWorkDirectory(&work_handle_);
  if (work_.empty()) return "cannot make a directory in /dev/shm";
  store_ = work_ + "/store";
  log_ = work_ + "/log";
  const std::unique_ptr<TargetProcess> client = NewClient();
  if (!error_.empty()) return error_;
  const TargetAnswer name = client->Ask("name");
  if (!name.Well()) return name.Trouble();
  name_ = name.name;
  const TargetAnswer shared = client->Ask("shared");
  shared_ = shared.shared;
  return shared.Well() ? "" : shared.Trouble();
}

// Without any death the target must do as the model does.
bool TargetEngine::RunUndisturbed() {
  Scene scene;
  auto wrong = [&](size_t number, const TargetVerdict& verdict) {
    Add(Healer::kSurvivor, {number}, verdict);
    findings_.back().undisturbed = true;
    return false;
  };
  if (const std::string error = scene.Make(*this, Healer::kSurvivor); !error.empty())
    return wrong(0, {"error", "while the store was made: " + error});
  const std::unique_ptr<TargetProcess> client = NewClient();
  Pairs pairs = program_.initial;
  for (size_t i = 0; i < program_.operations.size(); ++i) {
    const TargetOperation& operation = program_.operations[i];
    if (const auto verdict = Wrong("the first client's operation", client->Ask(operation.Command())))
      return wrong(i, *verdict);
    operation.ApplyTo(&pairs);
    const TargetAnswer list = scene.survivor->Ask("list"), check = scene.survivor->Ask("check");
    if (const auto verdict = Wrong("another client's list", list)) return wrong(i, *verdict);
    if (const auto verdict = Wrong("another client's check", check)) return wrong(i, *verdict);
    if (list.items != pairs) return wrong(i, {"content", "another client's list is not what was put"});
    if (!check.violations.empty()) return wrong(i, {"invariant", "another client's check: " + check.violations[0]});
  }
  if (const auto verdict = Wrong("the first client's detach", client->Ask("detach")))
    return wrong(program_.operations.size() - 1, *verdict);
  return error_.empty();
}

bool TargetEngine::ScanOperation(Scene* scene, size_t number, Clock::time_point deadline, TargetFigures* figures,
                                 std::vector<TargetPoint>* points) {
  static Decoder decoder;
  TargetProcess& victim = scene->victim;
  SharedFiles& files = *scene->files;
  decoder.Forget();
  if (const std::string error = victim.Send(program_.operations[number].Command()); !error.empty()) return Fail(error);
  files.LookAtAll();
  files.ReadMappings(victim.pid());
  std::unordered_set<uint64_t> seen = {files.Hash()};
  std::unordered_map<uint64_t, uint64_t> times;
  for (uint64_t n = 1;; ++n) {
    user_regs_struct before;
    if (const std::string error = victim.ReadRegisters(&before); !error.empty()) return Fail(error);
    const Instruction& instruction = decoder.At(victim.pid(), before.rip);
    if (n > 1 && AnswersNext(instruction, before)) break;
    if (const std::string error = victim.Step(); !error.empty()) return Fail(error);
    ++figures->instructions;
    ++times[before.rip];
    const bool changed = Changed(files, instruction, before, victim.pid());
    if (n % kFullLookEvery == 0) {
      if (!changed && files.LookAtAll()) return Fail("a store to the shared files was overlooked");
      if (Clock::now() > deadline) return false;
      if (n > kLongest) return Fail(fmt::format("an operation takes more than {} instructions", Thousands(kLongest)));
    }
    if (!changed) continue;
    ++figures->changes;
    if (!seen.insert(files.Hash()).second) continue;
    ++figures->distinct;
    points->push_back({number, n, before.rip, times[before.rip]});
  }
  if (files.LookAtAll()) return Fail("a store to the shared files was overlooked");
  if (!files.error().empty()) return Fail(files.error());
  if (const std::string error = victim.RunToAnswer(); !error.empty()) return Fail(error);
  return true;
}

std::vector<TargetPoint> TargetEngine::Scan(Healer healer, Clock::time_point deadline) {
  std::vector<TargetPoint> points;
  Scene scene;
  // An interpreter takes millions of instructions to attach; its operations are enough to step.
  const size_t first = file_.program ? 1 : 0;
  std::string error = scene.Make(*this, healer);
  if (error.empty()) error = scene.StartVictim(*this, first);
  if (!error.empty()) {
    Add(healer, {}, {"error", "a client attached to a store that all others had left: " + error});
    findings_.back().undisturbed = true;
    return points;
  }
  scene.files = std::make_unique<SharedFiles>(store_, shared_);
  for (size_t i = first; i < program_.operations.size(); ++i)
    if (!ScanOperation(&scene, i, deadline, &figures_[static_cast<size_t>(healer)], &points)) {
      unstepped_ += program_.operations.size() - i;
      break;
    }
  return points;
}

void TargetEngine::KillAt(Healer healer, const TargetPoint& point) {
  Scene scene;
  std::string error = scene.Make(*this, healer);
  if (error.empty()) error = scene.StartVictim(*this, point.operation);
  const TargetOperation& operation = program_.operations[point.operation];
  if (error.empty()) error = scene.victim.Send(operation.Command());
  user_regs_struct registers = {};
  if (error.empty()) error = RunTo(&scene.victim, point);
  if (error.empty()) error = scene.victim.ReadRegisters(&registers);
  if (error.empty()) error = scene.victim.Step();
  if (!error.empty()) {
    Fail(error);
    return;
  }
  scene.victim.Kill();
  Pairs before = program_.initial;
  for (size_t i = 0; i < point.operation; ++i) program_.operations[i].ApplyTo(&before);
  std::optional<TargetVerdict> verdict;
  if (healer == Healer::kNewcomer) {
    scene.survivor = NewClient();
    verdict = Wrong("the newcomer's attach", scene.survivor->Ask("attach"));
  }
  if (!verdict) verdict = JudgeTarget(*scene.survivor, before, operation, [this] { return NewClient(); });
  ++figures_[static_cast<size_t>(healer)].judged;
  if (!verdict) return;
  ++figures_[static_cast<size_t>(healer)].bad;
  Add(healer, {point.operation, point.instruction, registers.rip, point.times}, *verdict);
}

void TargetEngine::Add(Healer healer, const TargetPoint& point, TargetVerdict verdict) {
  TargetFinding finding{healer, seed_, point, std::move(verdict), program_.operations[point.operation].Command(),
                        "",     1,     false};
  const auto same = std::find_if(findings_.begin(), findings_.end(), [&](const TargetFinding& other) {
    return other.healer == healer && other.verdict.kind == finding.verdict.kind;
  });
  const auto place = [](const TargetPoint& p) { return std::pair(p.operation, p.instruction); };
  if (same != findings_.end()) {
    ++same->states;
    same->points.push_back(point);
    if (same->seed != seed_ || place(same->point) < place(point)) return;
    finding.states = same->states;
    finding.points = std::move(same->points);
    *same = finding;
    return;
  }
  finding.points = {point};
  findings_.push_back(finding);
}

// By another client that comes to the same point: where it stands, and what line of the target led there.
std::string TargetEngine::LineOf(const TargetFinding& finding) {
  const TargetPoint& point = finding.point;
  if (point.address == 0) return "";
  Scene scene;
  std::string error = scene.Make(*this, finding.healer);
  if (error.empty()) error = scene.StartVictim(*this, point.operation);
  if (error.empty()) error = scene.victim.Send(finding.operation);
  if (error.empty()) error = RunTo(&scene.victim, point);
  if (!error.empty()) return fmt::format("{:#x}", point.address);
  const std::string line = SourceLine(scene.victim.pid(), point.address);
  const std::string caller = CallerIn(scene.victim.pid(), file_.path);
  return caller.empty() ? line : line + ", called from " + caller;
}

void TargetEngine::Run(uint64_t seed, size_t operations, Clock::time_point deadline, bool quiet) {
  seed_ = seed;
  program_ = MakeTargetProgram(seed, operations);
  if (!RunUndisturbed()) return;
  struct Kill {
    Healer healer;
    TargetPoint point;
  };
  std::vector<Kill> kills;
  Progress progress("target", quiet);
  const Clock::time_point now = Clock::now();
  for (const Healer healer : kHealers) {
    progress.Show(fmt::format("stepping, {} instructions", Thousands(figures(healer).instructions)));
    // Half of the time at most goes into looking for states.
    const Clock::time_point until =
        deadline == Clock::time_point::max() ? deadline : now + (deadline - now) / (healer == kHealers[0] ? 4 : 2);
    for (const TargetPoint& point : Scan(healer, until)) kills.push_back({healer, point});
    if (!error_.empty()) return;
  }
  // In any order, so that a deadline leaves an even sample.
  Random random(MixSeeds(seed, 0));
  for (size_t i = kills.size(); i > 1; --i) std::swap(kills[i - 1], kills[random.Below(i)]);
  size_t done = 0;
  for (; done < kills.size() && error_.empty() && Clock::now() < deadline; ++done) {
    if (done == most_ || (first_only_ && !findings_.empty())) break;
    KillAt(kills[done].healer, kills[done].point);
    progress.Show(fmt::format("{} of {} deaths judged, {} kinds of findings", Thousands(done + 1),
                              Thousands(kills.size()), findings_.size()));
  }
  left_ += kills.size() - done;
  for (TargetFinding& finding : findings_) finding.line = LineOf(finding);
}

void TargetEngine::RunAt(uint64_t seed, size_t operations, Healer healer, TargetPoint point) {
  seed_ = seed;
  program_ = MakeTargetProgram(seed, operations);
  if (!RunUndisturbed()) return;
  if (point.operation >= program_.operations.size()) {
    Fail("there is no such operation");
    return;
  }
  KillAt(healer, point);
  for (TargetFinding& finding : findings_) finding.line = LineOf(finding);
}

}  // namespace lightning::faults
