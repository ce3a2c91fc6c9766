// put: one value, or several as one atomic batch.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "store/cli/common.h"
#include "store/cli/text.h"

namespace lightning::cli {
namespace {

struct PutArguments {
  std::vector<std::string> positional;
  std::string file;
  std::string metadata;
  std::optional<uint64_t> if_version;
  bool has_file = false;
  bool key_hex = false;
  bool batch = false;
  bool create = false;
  Geometry geometry;
};

// Everything up to the end of the file.
std::string ReadAll(int fd, const std::string& name) {
  static constexpr size_t kChunk = 1 << 20;
  std::string bytes;
  struct stat info {};
  // One byte more than the size, so that a regular file ends in one allocation.
  const bool sized = fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0;
  size_t room = sized ? static_cast<size_t>(info.st_size) + 1 : kChunk;
  size_t size = 0;
  while (true) {
    if (bytes.size() < size + room) bytes.resize(size + room);
    const ssize_t n = read(fd, bytes.data() + size, bytes.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) Fail(Status(Code::kSystem, "cannot read the value", errno), name);
    if (n == 0) break;
    size += static_cast<size_t>(n);
    room = size < bytes.size() ? bytes.size() - size : std::max(kChunk, size / 2);
  }
  bytes.resize(size);
  return bytes;
}

std::string ReadFile(const std::string& name) {
  if (name == "-") return ReadAll(STDIN_FILENO, "standard input");
  const int fd = open(name.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) Fail(Status(Code::kSystem, "cannot open the file with the value", errno), Escape(name));
  std::string bytes;
  try {
    bytes = ReadAll(fd, Escape(name));
  } catch (...) {
    close(fd);
    throw;
  }
  close(fd);
  return bytes;
}

Client OpenForPut(const Program& program, PutArguments& arguments) {
  Resolve(arguments.geometry);
  arguments.geometry.options.mode = arguments.create ? OpenMode::kOpenOrCreate : OpenMode::kOpen;
  return OpenClient(program.common, arguments.geometry.options);
}

int RunBatch(const Program& program, PutArguments& arguments) {
  if (arguments.has_file || arguments.if_version.has_value()) {
    FailUsage("put --batch takes KEY=VALUE pairs, without --file and --if-version");
  }
  std::vector<std::string> keys, values;
  for (const std::string& pair : arguments.positional) {
    const size_t equals = pair.find('=');
    if (equals == std::string::npos) FailUsage("put --batch: '" + Escape(pair) + "' is not KEY=VALUE");
    keys.push_back(DecodeKey(pair.substr(0, equals), arguments.key_hex));
    values.push_back(pair.substr(equals + 1));
  }
  if (keys.size() > kMaxBatchSize) {
    FailUsage("put --batch: at most " + std::to_string(kMaxBatchSize) + " pairs in one batch");
  }
  std::vector<BatchItem> items;
  for (size_t i = 0; i < keys.size(); ++i) {
    items.push_back({.key = keys[i], .value = AsBytes(values[i]), .metadata = AsBytes(arguments.metadata)});
  }
  Client client = OpenForPut(program, arguments);
  const Result<std::vector<uint64_t>> versions = client.PutBatch(items);
  if (!versions.ok()) Fail(versions.status(), "batch of " + std::to_string(items.size()));
  if (program.common.json) {
    Json json = {{"objects", Json::array()}};
    for (size_t i = 0; i < keys.size(); ++i) {
      Json object;
      AddKey(object, keys[i]);
      object["version"] = (*versions)[i];
      object["size"] = values[i].size();
      json["objects"].push_back(std::move(object));
    }
    PrintJson(json);
  }
  return kExitOk;
}

int RunPut(const Program& program, PutArguments& arguments) {
  if (arguments.batch) return RunBatch(program, arguments);
  if (arguments.positional.size() > 2) FailUsage("put takes one KEY and one VALUE; --batch takes several KEY=VALUE");
  if ((arguments.positional.size() == 2) == arguments.has_file) {
    FailUsage("put needs a value from one place: VALUE, --file F, or - for standard input");
  }
  const std::string key = DecodeKey(arguments.positional[0], arguments.key_hex);
  std::string value;
  if (arguments.has_file) {
    value = ReadFile(arguments.file);
  } else if (arguments.positional[1] == "-") {
    value = ReadFile("-");
  } else {
    value = arguments.positional[1];
  }
  Client client = OpenForPut(program, arguments);
  const PutOptions options = {.metadata = AsBytes(arguments.metadata)};
  const Result<uint64_t> version = arguments.if_version.has_value()
                                       ? client.Replace(key, AsBytes(value), *arguments.if_version, options)
                                       : client.Put(key, AsBytes(value), options);
  if (!version.ok()) Fail(version.status(), AboutKey(key));
  if (program.common.json) {
    Json json;
    AddKey(json, key);
    json["version"] = *version;
    json["size"] = value.size();
    PrintJson(json);
  }
  return kExitOk;
}

}  // namespace

void AddPut(Program& program) {
  auto arguments = std::make_shared<PutArguments>();
  CLI::App* command = AddCommand(program, "put", "Insert or replace a value",
                                 "lightning-store put config --file config.json --metadata application/json");
  command
      ->add_option_function<std::vector<std::string>>(
          "KEY [VALUE]",
          [arguments](const std::vector<std::string>& values) {
            for (const std::string& value : values) arguments->positional.push_back(Unprotect(value));
          },
          "The key and its value, - for standard input; with --batch several KEY=VALUE")
      ->required();
  CLI::Option* file = AddText(*command, "-f,--file", arguments->file, "Take the value from this file");
  AddText(*command, "-m,--metadata", arguments->metadata, "Metadata of the object, at most 64 KiB");
  command->add_option_function<uint64_t>(
      "--if-version", [arguments](uint64_t version) { arguments->if_version = version; },
      "Replace only if the object still has this version");
  command->add_flag("--key-hex", arguments->key_hex, "The key is given in hexadecimal digits");
  command->add_flag("--batch", arguments->batch, "Put several KEY=VALUE: all of them or none");
  CLI::Option* create = command->add_flag("--create", arguments->create, "Make the segment when it is absent");
  for (CLI::Option* option : AddGeometry(*command, arguments->geometry)) option->needs(create);
  command->callback([&program, arguments, file] {
    arguments->has_file = file->count() > 0;
    program.run = [&program, arguments] { return RunPut(program, *arguments); };
  });
}

}  // namespace lightning::cli
