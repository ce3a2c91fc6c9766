// A process that is forked from a worker in the middle of its work.
#include <fmt/format.h>

#include "faults/engine/kill_worker.h"

namespace lightning::faults {
namespace {

// Everything that the copy of the parent's client answers.
std::string TryInherited(Client& client) {
  const std::string key = KillKey(0);
  const std::byte byte{1};
  const Code codes[] = {client.Put(key, Bytes(&byte, 1)).code(), client.Get(key).code(), client.Delete(key).code(),
                        client.Create(key, 64).code(), client.Recover().code()};
  for (const Code code : codes) {
    if (code != Code::kForked) return fmt::format("the parent's client answers {} instead of FORKED", CodeName(code));
  }
  return "";
}

std::string WorkAlone(Client& client, uint32_t key) {
  const WriteId write = 1;
  std::byte value[200];
  FillValue(value, sizeof value, key, write);
  const Result<uint64_t> version = client.Put(KillKey(key), Bytes(value, sizeof value));
  if (!version.ok()) return "put: " + version.status().ToString();
  {
    const Result<Handle> handle = client.Get(KillKey(key));
    if (!handle.ok()) return "get: " + handle.status().ToString();
    std::string error;
    if (ReadValue(handle->bytes(), key, &error) != write) return "get gave " + error;
    if (handle->version() != *version) return "get gave another version than put";
  }
  const Status deleted = client.Delete(KillKey(key));
  return deleted.ok() ? "" : "delete: " + deleted.ToString();
}

}  // namespace

std::string RunForkedChild(Client& inherited, const Store& store, uint32_t lane, bool connects) {
  std::string error = TryInherited(inherited);
  if (!error.empty() || !connects) return error;
  Result<Client> own = store.Connect();
  if (!own.ok()) return "attaching: " + own.status().ToString();
  return WorkAlone(*own, ForkKey(lane));
}

}  // namespace lightning::faults
