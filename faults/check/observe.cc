#include "faults/check/observe.h"

#include <fmt/format.h>

namespace lightning::faults {
namespace {

std::string Copy(Bytes bytes) { return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()); }

}  // namespace

std::string Failed(const char* what, const Status& status) {
  return fmt::format("{} failed: {}", what, status.ToString());
}

std::string Observe(Client& client, SeenContent* seen) {
  seen->clear();
  const Result<std::vector<ObjectInfo>> list = client.List();
  if (!list.ok()) return fmt::format("List failed: {}", list.status().ToString());
  for (const ObjectInfo& info : *list) {
    const Result<Handle> handle = client.Get(info.key);
    if (!handle.ok())
      return fmt::format("{} is listed, but Get failed: {}", ShowKey(info.key), handle.status().ToString());
    if (handle->version() != info.version || handle->size() != info.size ||
        handle->metadata().size() != info.metadata_size)
      return fmt::format("{} is listed as version {} of {} bytes, but Get gave version {} of {} bytes",
                         ShowKey(info.key), info.version, info.size, handle->version(), handle->size());
    if (!seen->emplace(info.key, SeenObject{handle->version(), Copy(handle->bytes()), Copy(handle->metadata())}).second)
      return fmt::format("{} is listed twice", ShowKey(info.key));
  }
  return "";
}

std::string Difference(std::string_view key, const SeenObject& seen, const Item& expected) {
  if (seen.value.size() != expected.size || seen.metadata.size() != expected.metadata_size)
    return fmt::format("{} has {} + {} bytes instead of {} + {}", ShowKey(key), seen.value.size(), seen.metadata.size(),
                       expected.size, expected.metadata_size);
  if (!MatchesPattern(AsBytes(seen.value), expected.tag))
    return fmt::format("the value of {} (version {}) is not the one that was put", ShowKey(key), seen.version);
  if (!MatchesPattern(AsBytes(seen.metadata), MetadataTag(expected.tag)))
    return fmt::format("the metadata of {} is not what was put", ShowKey(key));
  return "";
}

std::string Difference(const SeenContent& seen, const Content& expected) {
  for (const auto& [key, item] : expected) {
    const auto at = seen.find(key);
    if (at == seen.end()) return fmt::format("{} is missing", ShowKey(key));
    std::string difference = Difference(key, at->second, item);
    if (!difference.empty()) return difference;
  }
  for (const auto& [key, object] : seen) {
    if (!expected.contains(key)) return fmt::format("{} should not be there", ShowKey(key));
  }
  return "";
}

int FindContent(const SeenContent& seen, std::span<const Content> allowed, std::string* difference) {
  for (size_t i = 0; i < allowed.size(); ++i) {
    *difference = Difference(seen, allowed[i]);
    if (difference->empty()) return static_cast<int>(i);
  }
  return -1;
}

}  // namespace lightning::faults
