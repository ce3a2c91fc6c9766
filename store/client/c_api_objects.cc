// The C API: objects.
#include <algorithm>
#include <memory>
#include <vector>

#include "store/client/c_api.h"

using namespace lightning::c_api;
using lightning::Code;
using lightning::Result;
using lightning::Status;

extern "C" {

lightning_code lightning_put(lightning_client* client, const void* key, size_t key_size, const void* value,
                             size_t value_size, const void* metadata, size_t metadata_size, uint64_t timeout_ns,
                             uint64_t* version) {
  return Guard([&] {
    if (client == nullptr || key == nullptr) return NullArgument();
    if (BadBytes(value, value_size) || BadBytes(metadata, metadata_size)) return NullArgument();
    return Give(client->client.Put(ToText(key, key_size), ToBytes(value, value_size),
                                   {.metadata = ToBytes(metadata, metadata_size), .timeout = ToTimeout(timeout_ns)}),
                version);
  });
}

lightning_code lightning_replace(lightning_client* client, const void* key, size_t key_size, const void* value,
                                 size_t value_size, const void* metadata, size_t metadata_size, uint64_t expected,
                                 uint64_t timeout_ns, uint64_t* version) {
  return Guard([&] {
    if (client == nullptr || key == nullptr) return NullArgument();
    if (BadBytes(value, value_size) || BadBytes(metadata, metadata_size)) return NullArgument();
    return Give(
        client->client.Replace(ToText(key, key_size), ToBytes(value, value_size), expected,
                               {.metadata = ToBytes(metadata, metadata_size), .timeout = ToTimeout(timeout_ns)}),
        version);
  });
}

lightning_code lightning_put_batch(lightning_client* client, const lightning_batch_item* items, size_t count,
                                   uint64_t timeout_ns, uint64_t* versions) {
  return Guard([&]() -> Status {
    if (client == nullptr || (items == nullptr && count != 0)) return NullArgument();
    if (count > lightning::kMaxBatchSize) {
      return Status(Code::kInvalidArgument, "a batch has at most 64 items");
    }
    std::vector<lightning::BatchItem> batch;
    batch.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      const lightning_batch_item& item = items[i];
      if (item.key == nullptr || BadBytes(item.value, item.value_size)) return NullArgument();
      if (BadBytes(item.metadata, item.metadata_size)) return NullArgument();
      batch.push_back({.key = ToText(item.key, item.key_size),
                       .value = ToBytes(item.value, item.value_size),
                       .metadata = ToBytes(item.metadata, item.metadata_size)});
    }
    const Result<std::vector<uint64_t>> result = client->client.PutBatch(batch, ToTimeout(timeout_ns));
    if (!result.ok()) return result.status();
    if (versions != nullptr) std::copy(result->begin(), result->end(), versions);
    return {};
  });
}

lightning_code lightning_get(lightning_client* client, const void* key, size_t key_size, uint64_t timeout_ns,
                             lightning_object** object) {
  return Guard([&]() -> Status {
    if (object == nullptr) return NullArgument();
    *object = nullptr;
    if (client == nullptr || key == nullptr) return NullArgument();
    auto created = std::make_unique<lightning_object>();
    Result<lightning::Handle> handle = client->client.Get(ToText(key, key_size), ToTimeout(timeout_ns));
    if (!handle.ok()) return handle.status();
    created->handle = std::move(*handle);
    *object = created.release();
    return {};
  });
}

const void* lightning_object_data(const lightning_object* object) {
  return object == nullptr ? nullptr : object->handle.data();
}
size_t lightning_object_size(const lightning_object* object) { return object == nullptr ? 0 : object->handle.size(); }
const void* lightning_object_metadata(const lightning_object* object) {
  return object == nullptr ? nullptr : object->handle.metadata().data();
}
size_t lightning_object_metadata_size(const lightning_object* object) {
  return object == nullptr ? 0 : object->handle.metadata().size();
}
uint64_t lightning_object_version(const lightning_object* object) {
  return object == nullptr ? 0 : object->handle.version();
}

lightning_code lightning_release(lightning_object* object) {
  return Guard([&] {
    if (object == nullptr) return NullArgument();
    delete object;
    return Status();
  });
}

lightning_code lightning_create(lightning_client* client, const void* key, size_t key_size, uint64_t size,
                                const void* metadata, size_t metadata_size, uint64_t timeout_ns,
                                lightning_writer** writer) {
  return Guard([&]() -> Status {
    if (writer == nullptr) return NullArgument();
    *writer = nullptr;
    if (client == nullptr || key == nullptr || BadBytes(metadata, metadata_size)) return NullArgument();
    auto created = std::make_unique<lightning_writer>();
    Result<lightning::Writer> result = client->client.Create(
        ToText(key, key_size), size, {.metadata = ToBytes(metadata, metadata_size), .timeout = ToTimeout(timeout_ns)});
    if (!result.ok()) return result.status();
    created->writer = std::move(*result);
    *writer = created.release();
    return {};
  });
}

void* lightning_writer_data(lightning_writer* writer) {
  return writer == nullptr ? nullptr : writer->writer.Writable().data();
}
size_t lightning_writer_size(const lightning_writer* writer) {
  return writer == nullptr ? 0 : writer->writer.Writable().size();
}

lightning_code lightning_seal(lightning_writer* writer, uint64_t* version) {
  return Guard([&] {
    if (writer == nullptr) return NullArgument();
    const Status status = Give(writer->writer.Seal(), version);
    if (status.ok()) delete writer;
    return status;
  });
}

lightning_code lightning_abort(lightning_writer* writer) {
  return Guard([&] {
    if (writer == nullptr) return NullArgument();
    const std::unique_ptr<lightning_writer> owned(writer);
    return owned->writer.Abort();
  });
}

lightning_code lightning_delete(lightning_client* client, const void* key, size_t key_size, uint64_t timeout_ns) {
  return Guard([&] {
    if (client == nullptr || key == nullptr) return NullArgument();
    return client->client.Delete(ToText(key, key_size), ToTimeout(timeout_ns));
  });
}

lightning_code lightning_contains(lightning_client* client, const void* key, size_t key_size, bool* found) {
  return Guard([&] {
    if (client == nullptr || key == nullptr || found == nullptr) return NullArgument();
    return Give(client->client.Contains(ToText(key, key_size)), found);
  });
}

lightning_code lightning_list(lightning_client* client, const void* prefix, size_t prefix_size,
                              lightning_list_callback callback, void* context) {
  return Guard([&]() -> Status {
    if (client == nullptr || callback == nullptr || BadBytes(prefix, prefix_size)) return NullArgument();
    const Result<std::vector<lightning::ObjectInfo>> objects = client->client.List(ToText(prefix, prefix_size));
    if (!objects.ok()) return objects.status();
    for (const lightning::ObjectInfo& object : *objects) {
      const lightning_object_info info = {.key = object.key.data(),
                                          .key_size = object.key.size(),
                                          .version = object.version,
                                          .size = object.size,
                                          .metadata_size = object.metadata_size};
      if (callback(&info, context) != 0) break;
    }
    return {};
  });
}

}  // extern "C"
