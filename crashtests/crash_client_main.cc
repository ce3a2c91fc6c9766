// crash-client: one client process, made to be killed, stopped and stepped. It reads commands from standard input, one
// a line, and answers each with one line: `ok ...`, or the name of the code that the store gave.
//
//   crash-client SEGMENT [--isolation MODE] [--timeout MS] [--size BYTES] [--max-objects N] [--max-clients N]
//
//   attach | close                        create the segment if absent, and connect
//   put KEY SIZE SEED | batch PREFIX COUNT SIZE SEED | delete KEY | evict BYTES | recover | subscribe
//   next MS                               ok SEQUENCE KIND KEY
//   get KEY [MS]                          ok SIZE SEED VERSION, or TORN
//   hold KEY | held | release KEY         keeps a handle; are the bytes of all handles whole; drops one
//   create KEY SIZE SEED | seal KEY | abort KEY
//   list | stat | check
//   churn SEED                            random operations on keys of its own and common ones, without end
//   loop COMMAND...                       repeats a command without end; # stands for 1, 2, 3, ...
//   fork                                  ok PID of a child that waits without end
//   fork-attach KEY                       first a line of a child: what the parent's client gave it, and its own's put
//   exec MS COMMAND...                    repeats a command while another thread executes sleep(1) after MS
//   at COMMAND...                         stops at an int3 just before and just after the operation itself
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "crashtests/values.h"
#include "lightning/client.h"

namespace lightning::crash {
namespace {

using Words = std::vector<std::string>;

uint64_t Number(const std::string& text) { return std::stoull(text); }

std::string Answer(const Status& status) { return status.ok() ? "ok" : CodeName(status.code()); }
std::string Answer(const Result<uint64_t>& result) {
  return result.ok() ? "ok " + std::to_string(*result) : Answer(result.status());
}

class Conversation {
 public:
  Conversation(std::string name, const Options& options) : name_(std::move(name)), options_(options) {}

  std::string Run(const Words& words) {
    const std::string& verb = words.at(0);
    if (verb == "at") return RunMarked({words.begin() + 1, words.end()});
    // These two have their first answer before they begin.
    if (verb == "loop" || verb == "exec") std::cout << "ok" << std::endl;
    if (verb == "loop") return Loop({words.begin() + 1, words.end()});
    if (verb == "exec") return Exec(Number(words.at(1)), {words.begin() + 2, words.end()});
    if (verb == "attach") return Attach();
    if (!client_) return "CLOSED";
    const auto handler = handlers_.find(verb);
    if (handler == handlers_.end()) return "unknown command " + verb;
    return handler->second(words);
  }

 private:
  // The operation itself, between two traps when a tracer asked for them.
  template <typename Operation>
  std::invoke_result_t<Operation> Do(Operation operation) {
    if (marked_) asm volatile("int3" ::: "memory");
    auto result = operation();
    if (marked_) asm volatile("int3" ::: "memory");
    return result;
  }

  std::string RunMarked(const Words& words) {
    marked_ = true;
    std::string answer = Run(words);
    marked_ = false;
    return answer;
  }

  std::string Attach() {
    return Do([&]() -> std::string {
      Result<Store> store = Store::Open(name_, options_);
      if (!store.ok()) return Answer(store.status());
      Result<Client> client = store->Connect();
      if (!client.ok()) return Answer(client.status());
      client_ = std::make_unique<Client>(std::move(*client));
      return std::string("ok ") + IsolationName(client_->isolation());
    });
  }

  std::string Close() {
    held_.clear();
    writers_.clear();
    subscriptions_.clear();
    return Do([&]() -> std::string {
      client_.reset();
      return "ok";
    });
  }

  std::string Put(const Words& words) {
    const std::vector<std::byte> value = MakeValue(Number(words.at(2)), Number(words.at(3)));
    return Answer(Do([&] { return client_->Put(words.at(1), Bytes(value)); }));
  }

  std::string Batch(const Words& words) {
    const std::vector<std::byte> value = MakeValue(Number(words.at(3)), Number(words.at(4)));
    std::vector<std::string> keys;
    for (uint64_t i = 0; i < Number(words.at(2)); ++i) keys.push_back(words.at(1) + std::to_string(i));
    std::vector<BatchItem> items;
    for (const std::string& key : keys) items.push_back({key, value, {}});
    return Answer(Do([&] { return client_->PutBatch(items); }).status());
  }

  std::string Get(const Words& words) {
    const std::chrono::milliseconds limit(words.size() > 2 ? Number(words.at(2)) : 0);
    const Result<Handle> handle = Do([&] { return client_->Get(words.at(1), limit); });
    if (!handle.ok()) return Answer(handle.status());
    const std::optional<uint64_t> seed = SeedOf(handle->bytes());
    if (!seed) return "TORN";
    return "ok " + std::to_string(handle->size()) + " " + std::to_string(*seed) + " " +
           std::to_string(handle->version());
  }

  std::string Hold(const Words& words) {
    Result<Handle> handle = Do([&] { return client_->Get(words.at(1)); });
    if (!handle.ok()) return Answer(handle.status());
    held_[words.at(1)] = std::move(*handle);
    return "ok";
  }

  std::string Held() {
    for (const auto& [key, handle] : held_) {
      if (!SeedOf(handle.bytes())) return "TORN " + key;
    }
    return "ok " + std::to_string(held_.size());
  }

  std::string Create(const Words& words) {
    Result<Writer> writer = Do([&] { return client_->Create(words.at(1), Number(words.at(2))); });
    if (!writer.ok()) return Answer(writer.status());
    FillValue(writer->Writable(), Number(words.at(3)));
    writers_[words.at(1)] = std::move(*writer);
    return "ok";
  }

  std::string Finish(const std::string& key, bool seal) {
    const auto writer = writers_.find(key);
    if (writer == writers_.end()) return "no writer";
    const Status status = Do([&] { return seal ? writer->second.Seal().status() : writer->second.Abort(); });
    if (status.ok()) writers_.erase(writer);
    return Answer(status);
  }

  std::string Next(uint64_t milliseconds) {
    if (subscriptions_.empty()) return "no subscription";
    const Result<Event> event = Do([&] { return subscriptions_.back().Next(std::chrono::milliseconds(milliseconds)); });
    if (!event.ok()) return Answer(event.status());
    return "ok " + std::to_string(event->sequence) + " " + EventKindName(event->kind) + " " + event->key;
  }

  std::string Recover() {
    const Result<RecoveryReport> report = Do([&] { return client_->Recover(); });
    if (!report.ok()) return Answer(report.status());
    return "ok " + std::to_string(report->recovered) + " " + std::to_string(report->alive);
  }

  std::string Stat() {
    const Result<Stats> stats = client_->GetStats();
    if (!stats.ok()) return Answer(stats.status());
    std::ostringstream out;
    out << "ok objects=" << stats->objects << " bytes_total=" << stats->bytes_total
        << " bytes_free=" << stats->bytes_free << " bytes_used=" << stats->bytes_used
        << " bytes_retired=" << stats->bytes_retired << " clients=" << stats->clients
        << " recoveries=" << stats->recoveries;
    return out.str();
  }

  std::string List() {
    const auto list = client_->List();
    if (!list.ok()) return Answer(list.status());
    std::string answer = "ok";
    for (const ObjectInfo& info : *list) answer += " " + info.key;
    return answer;
  }

  std::string Check() {
    const CheckReport report = client_->Check();
    if (report.ok) return "ok";
    return report.busy ? "BUSY" : report.violations.empty() ? "VIOLATED" : "VIOLATED " + report.violations.front();
  }

  std::string Loop(const Words& words) {
    for (uint64_t i = 1;; ++i) {
      Words now = words;
      for (std::string& word : now) {
        if (word == "#") word = std::to_string(i);
      }
      const std::string answer = Run(now);
      if (answer.starts_with("TORN")) return answer;
    }
  }

  // Every operation that changes the store, without end. Answers only when it meets something that must not be.
  std::string Churn(uint64_t seed) {
    std::cout << "ok" << std::endl;
    std::mt19937_64 random(seed);
    const std::string own = "own" + std::to_string(getpid()) + "-";
    for (;;) {
      const std::string key = (random() % 2 ? own : "common-") + std::to_string(random() % 12);
      const std::string size = std::to_string(8 + random() % (random() % 16 == 0 ? 20'000 : 500));
      const std::string number = std::to_string(random());
      std::string answer;
      switch (random() % 12) {
        default:
          answer = Run({"put", key, size, number});
          break;
        case 0:
          answer = Run({"batch", "batch-", "6", size, number});
          break;
        case 1:
        case 2:
          answer = Run({"delete", key});
          break;
        case 3:
        case 4:
          answer = Run({"get", key});
          break;
        case 5:
          answer = Run({"create", key, random() % 8 == 0 ? "70000" : size, number});
          break;
        case 6:
          answer = writers_.empty() ? "ok" : Run({"seal", writers_.begin()->first});
          break;
        case 7:
          answer = writers_.empty() ? "ok" : Run({"abort", writers_.begin()->first});
          break;
        case 8:
          answer = Run({"hold", key});
          break;
        case 9:
          answer = Run({"held"});
          if (held_.size() > 8) held_.clear();
          break;
      }
      // Besides success, only what others that do the same make possible.
      static const std::vector<std::string> kExpected = {
          "ok", "NOT_FOUND", "ALREADY_EXISTS", "BEING_CREATED", "SEGMENT_FULL", "TOO_MANY_OBJECTS", "TOO_MANY_PINS"};
      bool expected = false;
      for (const std::string& start : kExpected) expected |= answer.starts_with(start);
      if (!expected) return "churn: " + answer;
    }
  }

  std::string Fork(const std::string* key) {
    std::cout << std::flush;
    const pid_t child = fork();
    if (child != 0) {
      if (key != nullptr) waitpid(child, nullptr, 0);
      return "ok " + std::to_string(child);
    }
    std::string answer = "ok";
    if (key != nullptr) {
      // The parent's client is not ours; one of our own is.
      const Status inherited = client_->Put(*key, "x").status();
      const Result<Store> store = Store::Open(name_, options_);
      Result<Client> own = store.ok() ? store->Connect() : Result<Client>(store.status());
      answer = Answer(inherited) + " " + (own.ok() ? Answer(own->Put(*key, Bytes(MakeValue(100, 1)))) : "no client");
      std::cout << answer << std::endl;
      _exit(0);
    }
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    for (;;) pause();
  }

  std::string Exec(uint64_t milliseconds, const Words& words) {
    std::thread([milliseconds] {
      std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
      execl("/bin/sleep", "sleep", "1000", static_cast<char*>(nullptr));
      _exit(127);
    }).detach();
    return Loop(words);
  }

  std::string name_;
  Options options_;
  bool marked_ = false;
  std::unique_ptr<Client> client_;
  std::map<std::string, Handle> held_;
  std::map<std::string, Writer> writers_;
  std::vector<Subscription> subscriptions_;
  const std::map<std::string, std::function<std::string(const Words&)>> handlers_ = {
      {"close", [this](const Words&) { return Close(); }},
      {"put", [this](const Words& w) { return Put(w); }},
      {"batch", [this](const Words& w) { return Batch(w); }},
      {"delete", [this](const Words& w) { return Answer(Do([&] { return client_->Delete(w.at(1)); })); }},
      {"get", [this](const Words& w) { return Get(w); }},
      {"hold", [this](const Words& w) { return Hold(w); }},
      {"held", [this](const Words&) { return Held(); }},
      {"release", [this](const Words& w) { return held_.erase(w.at(1)) ? "ok" : "not held"; }},
      {"create", [this](const Words& w) { return Create(w); }},
      {"seal", [this](const Words& w) { return Finish(w.at(1), true); }},
      {"abort", [this](const Words& w) { return Finish(w.at(1), false); }},
      {"evict", [this](const Words& w) { return Answer(Do([&] { return client_->Evict(Number(w.at(1))); })); }},
      {"recover", [this](const Words&) { return Recover(); }},
      {"subscribe",
       [this](const Words&) -> std::string {
         Result<Subscription> subscription = Do([&] { return client_->Subscribe(); });
         if (!subscription.ok()) return Answer(subscription.status());
         subscriptions_.push_back(std::move(*subscription));
         return "ok";
       }},
      {"next", [this](const Words& w) { return Next(Number(w.at(1))); }},
      {"list", [this](const Words&) { return List(); }},
      {"stat", [this](const Words&) { return Stat(); }},
      {"check", [this](const Words&) { return Check(); }},
      {"churn", [this](const Words& w) { return Churn(Number(w.at(1))); }},
      {"fork", [this](const Words&) { return Fork(nullptr); }},
      {"fork-attach", [this](const Words& w) { return Fork(&w.at(1)); }},
  };
};

int Main(const Words& arguments) {
  Options options;
  options.size = 4 << 20;
  options.max_objects = 256;
  options.max_clients = 8;
  options.max_pins = 64;
  options.event_slots = 16;
  for (size_t i = 1; i + 1 < arguments.size(); i += 2) {
    const std::string& option = arguments[i];
    const std::string& value = arguments[i + 1];
    if (option == "--isolation") {
      if (!ParseIsolation(value.c_str(), &options.isolation)) return 2;
    } else if (option == "--timeout") {
      options.lock_timeout = std::chrono::milliseconds(Number(value));
    } else if (option == "--size") {
      options.size = Number(value);
    } else if (option == "--max-objects") {
      options.max_objects = static_cast<uint32_t>(Number(value));
    } else if (option == "--max-clients") {
      options.max_clients = static_cast<uint32_t>(Number(value));
    } else {
      return 2;
    }
  }
  if (arguments.empty() || arguments.size() % 2 == 0) return 2;
  // A tracer that let go left the second int3 behind.
  signal(SIGTRAP, [](int) {});
  Conversation conversation(arguments[0], options);
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream in(line);
    Words words;
    for (std::string word; in >> word;) words.push_back(word);
    if (!words.empty()) std::cout << conversation.Run(words) << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace lightning::crash

int main(int argc, char** argv) { return lightning::crash::Main({argv + 1, argv + argc}); }
