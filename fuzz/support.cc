#include "fuzz/support.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

// libFuzzer's own mutations; other engines have none to lend.
extern "C" __attribute__((weak)) size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace lightning::fuzz {
namespace {

uint64_t executions = 0, operations_done = 0;

void PrintCount() {
  fprintf(stderr, "lightning-fuzz: %llu operations in %llu executions\n",
          static_cast<unsigned long long>(operations_done), static_cast<unsigned long long>(executions));
}

class Records {
 public:
  Records(const RecordForm& form, uint8_t* data, size_t size, size_t max_size)
      : form_(form), data_(data), size_(size), max_size_(max_size) {
    while (size_ < form_.header && size_ < max_size_) data_[size_++] = 0;
  }
  size_t size() const { return size_; }
  size_t count() const { return size_ <= form_.header ? 0 : (size_ - form_.header) / form_.record; }
  uint8_t* at(size_t i) { return data_ + form_.header + i * form_.record; }
  bool Full() const { return count() >= form_.most || size_ + form_.record > max_size_; }

  void Insert(size_t where, const uint8_t* record) {
    if (Full()) return;
    size_ = form_.header + count() * form_.record;
    memmove(at(where) + form_.record, at(where), size_ - static_cast<size_t>(at(where) - data_));
    memcpy(at(where), record, form_.record);
    size_ += form_.record;
  }
  void Remove(size_t where) {
    size_ = form_.header + count() * form_.record;
    memmove(at(where), at(where) + form_.record, size_ - static_cast<size_t>(at(where + 1) - data_));
    size_ -= form_.record;
  }
  void InsertRandom(size_t where, Random& random) {
    std::vector<uint8_t> record(form_.record);
    // Small numbers are the interesting ones as often as not.
    for (uint8_t& byte : record) byte = static_cast<uint8_t>(random.Next() & (random.Percent(50) ? 0xFF : 0x0F));
    Insert(where, record.data());
  }
  void Cut(size_t count) { size_ = std::min(size_, form_.header + count * form_.record); }

 private:
  const RecordForm& form_;
  uint8_t* const data_;
  size_t size_;
  const size_t max_size_;
};

void ChangeOne(Records& records, const RecordForm& form, uint8_t* data, Random& random) {
  const size_t count = records.count();
  const size_t any = count == 0 ? 0 : random.Below(count);
  switch (random.Below(7)) {
    case 0:
      return records.InsertRandom(random.Below(count + 1), random);
    case 1:
      return count > 1 ? records.Remove(any) : void();
    case 2:
      if (count > 1) std::swap_ranges(records.at(any), records.at(any) + form.record, records.at(random.Below(count)));
      return;
    case 3:
      if (count != 0) {
        const std::vector<uint8_t> copy(records.at(any), records.at(any) + form.record);
        records.Insert(random.Below(count + 1), copy.data());
      }
      return;
    case 4:
      if (form.header != 0) data[random.Below(form.header)] = static_cast<uint8_t>(random.Next());
      return;
    case 5:
      if (count != 0) records.at(any)[random.Below(form.record)] = static_cast<uint8_t>(random.Next());
      return;
    default:
      if (count != 0) records.at(any)[random.Below(form.record)] ^= static_cast<uint8_t>(1 << random.Below(8));
      return;
  }
}

}  // namespace

void CountOperations(uint64_t operations) {
  if (executions++ == 0) atexit(PrintCount);
  operations_done += operations;
}

void Fail(std::string_view what) {
  fprintf(stderr, "lightning-fuzz: FAILURE: %.*s\n", static_cast<int>(what.size()), what.data());
  abort();
}

size_t MutateBytes(uint8_t* data, size_t size, size_t max_size) {
  return LLVMFuzzerMutate == nullptr ? 0 : LLVMFuzzerMutate(data, size, max_size);
}

size_t MutateRecords(const RecordForm& form, uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  Random random(seed);
  if (LLVMFuzzerMutate != nullptr && size != 0 && random.Percent(20))
    return std::min(LLVMFuzzerMutate(data, size, max_size), form.header + form.most * form.record);
  if (max_size <= form.header) return size;
  Records records(form, data, size, max_size);
  for (uint64_t i = random.Between(1, 4); i-- > 0;) ChangeOne(records, form, data, random);
  while (records.count() < form.least && !records.Full()) records.InsertRandom(records.count(), random);
  records.Cut(form.most);
  return records.size();
}

size_t CrossRecords(const RecordForm& form, const uint8_t* one, size_t one_size, const uint8_t* other,
                    size_t other_size, uint8_t* out, size_t max_size, unsigned seed) {
  Random random(seed);
  if (one_size < form.header || other_size < form.header || max_size <= form.header) {
    const size_t some = std::min(one_size, max_size);
    memcpy(out, one, some);
    return some;
  }
  memcpy(out, one, form.header);
  Records records(form, out, form.header, max_size);
  const size_t counts[] = {(one_size - form.header) / form.record, (other_size - form.header) / form.record};
  const size_t cut = random.Below(counts[0] + 1), from = random.Below(counts[1] + 1);
  for (size_t i = 0; i < cut; ++i) records.Insert(records.count(), one + form.header + i * form.record);
  for (size_t i = from; i < counts[1]; ++i) records.Insert(records.count(), other + form.header + i * form.record);
  return records.size();
}

std::map<std::string, Target>& Targets() {
  static std::map<std::string, Target> targets;
  return targets;
}

}  // namespace lightning::fuzz
