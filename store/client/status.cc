// The names and messages of the public API's enumerations.
#include "lightning/status.h"

#include <array>
#include <cstddef>
#include <cstring>
#include <string_view>
#include <system_error>

#include "lightning/client.h"
#include "lightning/options.h"

namespace lightning {
namespace {

struct CodeText {
  Code code;
  const char* name;
  const char* message;  // what happened; what to do about it
};

constexpr std::array kCodes = {
    CodeText{Code::kOk, "OK", "the call did what it was asked to do"},
    CodeText{Code::kNotFound, "NOT_FOUND", "no sealed object is under this key: put it first, or wait with a timeout"},
    CodeText{
        Code::kAlreadyExists, "ALREADY_EXISTS",
        "an object or segment of this name exists already: delete it first, put to replace it, or open it as it is"},
    CodeText{Code::kBeingCreated, "BEING_CREATED",
             "another live client has created this key and not sealed it yet: wait with a timeout, or use another key"},
    CodeText{Code::kVersionMismatch, "VERSION_MISMATCH",
             "the object has changed since that version: get it again, apply the change to that, and retry"},
    CodeText{Code::kSegmentFull, "SEGMENT_FULL",
             "no free extent is large enough: delete or evict objects, release handles of deleted ones, or make a "
             "larger segment"},
    CodeText{Code::kTooManyObjects, "TOO_MANY_OBJECTS",
             "the object table is full: delete or evict objects, or make a segment with a larger max_objects"},
    CodeText{Code::kTooManyClients, "TOO_MANY_CLIENTS",
             "every client slot is taken: close clients, or make a segment with a larger max_clients"},
    CodeText{Code::kTooManyPins, "TOO_MANY_PINS",
             "this client holds as many handles as it may: release some, or make a segment with a larger max_pins"},
    CodeText{Code::kInvalidKey, "INVALID_KEY", "a key has 1 to 1024 bytes: use a key of such a length"},
    CodeText{Code::kValueTooLarge, "VALUE_TOO_LARGE",
             "the value can never fit into this segment: split it, or make a larger segment"},
    CodeText{Code::kMetadataTooLarge, "METADATA_TOO_LARGE",
             "metadata has at most 65536 bytes: put the rest into the value"},
    CodeText{Code::kInvalidArgument, "INVALID_ARGUMENT",
             "an argument or option is out of its range: correct it as the header says"},
    CodeText{Code::kTimeout, "TIMEOUT",
             "the deadline passed first: retry, allow more time, or see whether a peer is stopped"},
    CodeText{Code::kClosed, "CLOSED", "this client, writer or subscription has ended: open a new one"},
    CodeText{Code::kForked, "FORKED", "this client belongs to the parent process: connect another one after fork"},
    CodeText{Code::kBadFormat, "BAD_FORMAT", "the file is no Lightning segment: check its name"},
    CodeText{Code::kBadVersion, "BAD_VERSION",
             "the segment has another format version: use the release that made it, or remove it and make it anew"},
    CodeText{Code::kTruncated, "TRUNCATED",
             "the file is shorter than the segment in it: remove it and make it anew, or restore the whole file"},
    CodeText{Code::kCorrupt, "CORRUPT",
             "the segment breaks its own invariants: see what `lightning-store check` says, then make it anew"},
    CodeText{Code::kNoPermission, "NO_PERMISSION",
             "this user may not open the segment: run as its owner, or correct the mode of the file"},
    CodeText{Code::kReadOnly, "READ_ONLY",
             "the segment stands on a read-only file system: remount that, or use a path that can be written"},
    CodeText{Code::kNoSpace, "NO_SPACE",
             "the file system that holds the segment is full: free space there, or make a smaller segment"},
    CodeText{Code::kUnsupported, "UNSUPPORTED",
             "this machine or kernel lacks what was asked for: choose another isolation mode, or leave it at auto"},
    CodeText{Code::kFellBehind, "FELL_BEHIND",
             "events were overwritten before they were read: list the store again and go on with the next event"},
    CodeText{Code::kNoSegment, "NO_SEGMENT", "nothing is there to open under this name: create it, or check the name"},
    CodeText{Code::kSystem, "SYSTEM", "the operating system refused a call: see its reason, remove that, and retry"},
    CodeText{Code::kIsolationBroken, "ISOLATION_BROKEN",
             "what keeps stray writes out of the store is broken in this process: see the detail; nothing was changed"},
};

// A code is its own index, and the list ends with the last code there is.
constexpr bool CodesStandInOrder() {
  for (size_t i = 0; i < kCodes.size(); ++i) {
    if (static_cast<size_t>(kCodes[i].code) != i) return false;
  }
  return kCodes.back().code == Code::kIsolationBroken;
}
static_assert(CodesStandInOrder());
// Two messages spell these limits out.
static_assert(kMaxKeySize == 1024 && kMaxMetadataSize == 65536);

constexpr std::array kIsolations = {"auto", "keys", "mprotect", "hidden", "none"};
static_assert(static_cast<size_t>(Isolation::kNone) + 1 == kIsolations.size());

const CodeText* Find(Code code) {
  const auto index = static_cast<size_t>(static_cast<int32_t>(code));  // a negative one becomes huge
  return index < kCodes.size() ? &kCodes[index] : nullptr;
}

}  // namespace

const char* CodeName(Code code) {
  const CodeText* text = Find(code);
  return text != nullptr ? text->name : "UNKNOWN";
}

const char* CodeMessage(Code code) {
  const CodeText* text = Find(code);
  return text != nullptr ? text->message : "this code is unknown here: use a library as new as the one that gave it";
}

std::string Status::ToString() const {
  if (ok()) return CodeName(code_);
  std::string text = std::string(CodeName(code_)) + ": " + CodeMessage(code_);
  const bool has_detail = detail_ != nullptr && *detail_ != '\0';
  if (!has_detail && sys_errno_ == 0) return text;
  text += " (";
  if (has_detail) text += detail_;
  if (has_detail && sys_errno_ != 0) text += "; ";
  if (sys_errno_ != 0) text += std::generic_category().message(sys_errno_);
  text += ')';
  return text;
}

const char* IsolationName(Isolation isolation) {
  const auto index = static_cast<size_t>(isolation);
  return index < kIsolations.size() ? kIsolations[index] : "unknown";
}

bool ParseIsolation(const char* name, Isolation* isolation) {
  if (name == nullptr || isolation == nullptr) return false;
  for (size_t i = 0; i < kIsolations.size(); ++i) {
    if (std::strcmp(name, kIsolations[i]) == 0) {
      *isolation = static_cast<Isolation>(i);
      return true;
    }
  }
  return false;
}

const char* EventKindName(EventKind kind) {
  switch (kind) {
    case EventKind::kSealed:
      return "sealed";
    case EventKind::kDeleted:
      return "deleted";
    case EventKind::kEvicted:
      return "evicted";
  }
  return "unknown";
}

}  // namespace lightning
