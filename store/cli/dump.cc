// dump: everything that a segment holds, for people and for scripts.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "store/cli/common.h"
#include "store/cli/text.h"

namespace lightning::cli {
namespace {

struct DumpArguments {
  bool values = false;
};

void DumpText(const std::string& key, const Handle& handle, bool values) {
  std::string text = fmt::format("object \"{}\" version {} size {} metadata {}\n", Escape(key), handle.version(),
                                 handle.size(), handle.metadata().size());
  if (!handle.metadata().empty()) text += "  metadata: " + Escape(AsText(handle.metadata())) + '\n';
  if (values) text += "  value: " + Escape(handle.view()) + '\n';
  Print(text);
}

Json DumpJson(const std::string& key, const Handle& handle, bool values) {
  Json json;
  AddKey(json, key);
  json["version"] = handle.version();
  json["size"] = handle.size();
  json["metadata_size"] = handle.metadata().size();
  AddBytes(json, "metadata", handle.metadata());
  if (values) AddBytes(json, "value", handle.bytes());
  return json;
}

int RunDump(const Program& program, const DumpArguments& arguments) {
  Client client = OpenClient(program.common);
  const Result<Stats> stats = client.GetStats();
  if (!stats.ok()) Fail(stats.status(), Escape(client.path()));
  const Result<std::vector<ObjectInfo>> objects = client.List();
  if (!objects.ok()) Fail(objects.status(), Escape(client.path()));
  Json json = {{"stats", StatsJson(*stats, client.path())}, {"objects", Json::array()}};
  if (!program.common.json) Print(StatsText(*stats, client.path()));
  for (const ObjectInfo& object : *objects) {
    const Result<Handle> handle = client.Get(object.key);
    if (!handle.ok() && handle.code() == Code::kNotFound) continue;  // deleted since the list was taken
    if (!handle.ok()) Fail(handle.status(), AboutKey(object.key));
    if (program.common.json) {
      json["objects"].push_back(DumpJson(object.key, *handle, arguments.values));
    } else {
      DumpText(object.key, *handle, arguments.values);
    }
  }
  if (program.common.json) PrintJson(json);
  return kExitOk;
}

}  // namespace

void AddDump(Program& program) {
  auto arguments = std::make_shared<DumpArguments>();
  CLI::App* command = AddCommand(program, "dump", "Show statistics and every object with its metadata",
                                 "lightning-store dump --values --json");
  command->add_flag("--values", arguments->values, "Show the values too");
  command->callback(
      [&program, arguments] { program.run = [&program, arguments] { return RunDump(program, *arguments); }; });
}

}  // namespace lightning::cli
