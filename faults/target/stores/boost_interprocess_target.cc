// A Boost.Interprocess map of strings in a mapped file, under an interprocess_mutex: what the library's documentation
// shows first. Nothing in the library says what a survivor should do, so there is no recover.
#include <boost/interprocess/allocators/allocator.hpp>
#include <boost/interprocess/containers/map.hpp>
#include <boost/interprocess/containers/string.hpp>
#include <boost/interprocess/managed_mapped_file.hpp>
#include <boost/interprocess/sync/interprocess_mutex.hpp>
#include <boost/interprocess/sync/scoped_lock.hpp>
#include <boost/version.hpp>
#include <functional>
#include <string>

#include "faults/target/lightning_target.h"

namespace {

namespace bi = boost::interprocess;
using Manager = bi::managed_mapped_file::segment_manager;
using String = bi::basic_string<char, std::char_traits<char>, bi::allocator<char, Manager>>;
using Pair = std::pair<const String, String>;
using Map = bi::map<String, String, std::less<String>, bi::allocator<Pair, Manager>>;

constexpr size_t kSize = 64 << 10;

struct Client {
  explicit Client(const std::string& path) : file(bi::open_only, path.c_str()) {
    mutex = file.find<bi::interprocess_mutex>("mutex").first;
    map = file.find<Map>("map").first;
  }
  String Text(const char* text) { return String(text, file.get_segment_manager()); }

  bi::managed_mapped_file file;
  bi::interprocess_mutex* mutex = nullptr;
  Map* map = nullptr;
};

std::string PathIn(const char* directory) { return std::string(directory) + "/map"; }

// Runs it; an exception becomes the text of an error.
template <typename Body>
const char* Guarded(const Body& body) {
  static std::string error;
  try {
    return body();
  } catch (const std::exception& exception) {
    error = exception.what();
    return error.c_str();
  }
}

const char* Create(const char* directory) {
  return Guarded([&]() -> const char* {
    bi::managed_mapped_file file(bi::create_only, PathIn(directory).c_str(), kSize);
    file.construct<bi::interprocess_mutex>("mutex")();
    file.construct<Map>("map")(std::less<String>(), file.get_segment_manager());
    return nullptr;
  });
}

const char* Attach(const char* directory, void** client) {
  return Guarded([&]() -> const char* {
    auto* attached = new Client(PathIn(directory));
    *client = attached;
    return attached->map == nullptr || attached->mutex == nullptr ? "the map or its mutex is missing" : nullptr;
  });
}

const char* Detach(void* client) {
  delete static_cast<Client*>(client);
  return nullptr;
}

const char* Put(void* context, const char* key, const char* value) {
  return Guarded([&]() -> const char* {
    auto* client = static_cast<Client*>(context);
    const bi::scoped_lock<bi::interprocess_mutex> lock(*client->mutex);
    client->map->insert_or_assign(client->Text(key), client->Text(value));
    return nullptr;
  });
}

const char* Remove(void* context, const char* key) {
  return Guarded([&]() -> const char* {
    auto* client = static_cast<Client*>(context);
    const bi::scoped_lock<bi::interprocess_mutex> lock(*client->mutex);
    return client->map->erase(client->Text(key)) == 1 ? nullptr : "there was no such key";
  });
}

const char* List(void* context, lightning_target_item item, void* to) {
  return Guarded([&]() -> const char* {
    auto* client = static_cast<Client*>(context);
    const bi::scoped_lock<bi::interprocess_mutex> lock(*client->mutex);
    for (const Pair& pair : *client->map) item(to, pair.first.c_str(), pair.second.c_str());
    return nullptr;
  });
}

const char* Check(void* context, lightning_target_text violation, void* to) {
  if (!static_cast<Client*>(context)->file.check_sanity()) violation(to, "check_sanity says no");
  return nullptr;
}

}  // namespace

extern "C" const lightning_target* lightning_target_get(void) {
  static const std::string name =
      "Boost.Interprocess " + std::to_string(BOOST_VERSION / 100000) + "." + std::to_string(BOOST_VERSION / 100 % 1000);
  static const lightning_target target = {LIGHTNING_TARGET_VERSION,
                                          sizeof(lightning_target),
                                          name.c_str(),
                                          Create,
                                          Attach,
                                          Detach,
                                          Put,
                                          Remove,
                                          List,
                                          nullptr,
                                          Check,
                                          nullptr};
  return &target;
}
