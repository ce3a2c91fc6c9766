// get, delete, list.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <memory>
#include <nlohmann/json.hpp>

#include "store/cli/common.h"
#include "store/cli/text.h"

namespace lightning::cli {
namespace {

struct GetArguments {
  std::string key;
  std::string output;
  double wait = 0;
  bool metadata = false;
  bool key_hex = false;
};

void WriteOutput(const std::string& name, std::string_view bytes) {
  const int fd = open(name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) Fail(Status(Code::kSystem, "cannot open the output file", errno), Escape(name));
  try {
    WriteFile(fd, bytes, Escape(name));
  } catch (...) {
    close(fd);
    throw;
  }
  // Some file systems tell of a full disk only here.
  if (close(fd) != 0) Fail(Status(Code::kSystem, "cannot write the output", errno), Escape(name));
}

int RunGet(const Program& program, const GetArguments& arguments) {
  const std::string key = DecodeKey(arguments.key, arguments.key_hex);
  const std::chrono::nanoseconds wait = Seconds(arguments.wait, "--wait");
  Client client = OpenClient(program.common);
  const Result<Handle> handle = client.Get(key, wait);
  if (!handle.ok()) Fail(handle.status(), AboutKey(key));
  const Bytes wanted = arguments.metadata ? handle->metadata() : handle->bytes();
  if (!arguments.output.empty()) WriteOutput(arguments.output, AsText(wanted));
  if (program.common.json) {
    Json json;
    AddKey(json, key);
    json["version"] = handle->version();
    json["size"] = handle->size();
    json["metadata_size"] = handle->metadata().size();
    AddBytes(json, "metadata", handle->metadata());
    if (!arguments.metadata && arguments.output.empty()) AddBytes(json, "value", handle->bytes());
    PrintJson(json);
  } else if (arguments.output.empty()) {
    Print(AsText(wanted));
  }
  return kExitOk;
}

struct DeleteArguments {
  std::vector<std::string> keys;
  bool key_hex = false;
};

int RunDelete(const Program& program, const DeleteArguments& arguments) {
  std::vector<std::string> keys;
  for (const std::string& key : arguments.keys) keys.push_back(DecodeKey(key, arguments.key_hex));
  Client client = OpenClient(program.common);
  Json json = {{"deleted", Json::array()}, {"absent", Json::array()}};
  for (const std::string& key : keys) {
    const Status status = client.Delete(key);
    // An absent key shall not keep the others from being deleted; anything else may well hit them all.
    if (!status.ok() && status.code() != Code::kNotFound) Fail(status, AboutKey(key));
    if (!status.ok()) PrintError(status, AboutKey(key));
    Json entry;
    AddKey(entry, key);
    json[status.ok() ? "deleted" : "absent"].push_back(std::move(entry));
  }
  if (program.common.json) PrintJson(json);
  return json["absent"].empty() ? kExitOk : kExitFailure;
}

struct ListArguments {
  std::string prefix;
  bool long_lines = false;
  bool key_hex = false;
};

int RunList(const Program& program, const ListArguments& arguments) {
  const std::string prefix = DecodeKey(arguments.prefix, arguments.key_hex);
  Client client = OpenClient(program.common);
  const Result<std::vector<ObjectInfo>> objects = client.List(prefix);
  if (!objects.ok()) Fail(objects.status());
  if (program.common.json) {
    Json json = {{"objects", Json::array()}};
    for (const ObjectInfo& object : *objects) {
      Json entry;
      AddKey(entry, object.key);
      entry["version"] = object.version;
      entry["size"] = object.size;
      entry["metadata_size"] = object.metadata_size;
      json["objects"].push_back(std::move(entry));
    }
    PrintJson(json);
    return kExitOk;
  }
  std::string text;
  if (arguments.long_lines) text = fmt::format("{:>14} {:>10} {:>12}  {}\n", "SIZE", "METADATA", "VERSION", "KEY");
  for (const ObjectInfo& object : *objects) {
    if (arguments.long_lines) {
      text += fmt::format("{:>14} {:>10} {:>12}  ", object.size, object.metadata_size, object.version);
    }
    text += Escape(object.key) + '\n';
  }
  Print(text);
  return kExitOk;
}

}  // namespace

void AddGet(Program& program) {
  auto arguments = std::make_shared<GetArguments>();
  CLI::App* command = AddCommand(program, "get", "Write a value to standard output, byte for byte",
                                 "lightning-store get result --wait 10 --output result.bin");
  AddText(*command, "KEY", arguments->key, "The key")->required();
  AddText(*command, "-o,--output", arguments->output, "Write to this file instead");
  command->add_option("--wait", arguments->wait, "Wait up to so many seconds for the key to be sealed");
  command->add_flag("--metadata", arguments->metadata, "Write the metadata instead of the value");
  command->add_flag("--key-hex", arguments->key_hex, "The key is given in hexadecimal digits");
  command->callback(
      [&program, arguments] { program.run = [&program, arguments] { return RunGet(program, *arguments); }; });
}

void AddDelete(Program& program) {
  auto arguments = std::make_shared<DeleteArguments>();
  CLI::App* command = AddCommand(program, "delete", "Delete objects; exit 1 when one of them is absent",
                                 "lightning-store delete old-1 old-2");
  command
      ->add_option_function<std::vector<std::string>>(
          "KEY",
          [arguments](const std::vector<std::string>& keys) {
            for (const std::string& key : keys) arguments->keys.push_back(Unprotect(key));
          },
          "The keys")
      ->required();
  command->add_flag("--key-hex", arguments->key_hex, "The keys are given in hexadecimal digits");
  command->callback(
      [&program, arguments] { program.run = [&program, arguments] { return RunDelete(program, *arguments); }; });
}

void AddList(Program& program) {
  auto arguments = std::make_shared<ListArguments>();
  CLI::App* command = AddCommand(program, "list", "List the keys of sealed objects, sorted and escaped",
                                 "lightning-store list job/ --long");
  AddText(*command, "PREFIX", arguments->prefix, "Only keys that start with it");
  command->add_flag("-l,--long", arguments->long_lines, "Show sizes and versions too");
  command->add_flag("--key-hex", arguments->key_hex, "The prefix is given in hexadecimal digits");
  command->callback(
      [&program, arguments] { program.run = [&program, arguments] { return RunList(program, *arguments); }; });
}

}  // namespace lightning::cli
