// SPDX-License-Identifier: Apache-2.0
#include "runner/page.h"

#include <algorithm>
#include <atomic>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

#include "base/check.h"

namespace dhub::runner {
namespace {

constexpr std::uint64_t kMagic = 0x3247415042554844;  // "DHUBPAG2"
enum Word : std::size_t {
  kMagicWord = 0,
  kRecalled = 1,
  kUsed = 3,
  kLogUsed = 4,
  kCause = 6,
  kSeveral = 7,
  kLogAt = 8,
  kLogLimit = 9,
  kFinishedAt = 10,
  kFinishedSize = 11,
  kResultsAt = 12,
  kResultsSize = 13,
  kSlots = 14,
  kFirstSlot = 16,
};
// Words of a slot.
enum SlotWord : std::size_t { kDelivery = 0, kSince = 1, kStep = 2, kFinishedLength = 3, kSlotWords = 4 };
constexpr std::uint64_t kHeadBytes = 8192;
constexpr std::uint64_t kMostSlots = (kHeadBytes / 8 - kFirstSlot) / kSlotWords;
constexpr std::uint64_t kMarkBytes = 64;                // "... [cut at 64KiB]" goes past the limit
constexpr std::uint64_t kFinishedBytes = 256ULL << 10;  // of one slot, where there are few
constexpr std::uint64_t kAllFinishedBytes = 4ULL << 20;
constexpr std::uint64_t kHeadRoom = 64;  // for the header of the frame that the results become
constexpr std::uint64_t kResultsBytes = 1ULL << 20;
constexpr std::uint64_t kMostLogBytes = 64ULL << 20;
constexpr std::uint64_t kCauseMemory = 1;

constexpr std::size_t word_of(std::size_t slot, SlotWord word) {
  return kFirstSlot + slot * kSlotWords + word;
}

constexpr std::uint64_t round_up(std::uint64_t size) {
  return (size + 4095) & ~std::uint64_t{4095};
}

}  // namespace

Result<SharedPage> SharedPage::create(std::uint64_t log_limit, std::int32_t slots) {
  std::uint64_t layout[16] = {};
  layout[kMagicWord] = kMagic;
  layout[kLogAt] = kHeadBytes;
  layout[kLogLimit] = std::min(log_limit, kMostLogBytes);
  layout[kFinishedAt] = round_up(layout[kLogAt] + layout[kLogLimit] + kMarkBytes);
  layout[kSlots] = std::clamp<std::uint64_t>(static_cast<std::uint64_t>(std::max(slots, 1)), 1, kMostSlots);
  layout[kFinishedSize] = std::min(kFinishedBytes, kAllFinishedBytes / layout[kSlots] / 4096 * 4096);
  layout[kResultsAt] = layout[kFinishedAt] + layout[kSlots] * layout[kFinishedSize] + kHeadRoom;
  layout[kResultsSize] = kResultsBytes;
  const std::uint64_t size = round_up(layout[kResultsAt] + kResultsBytes);
  Descriptor memory(::memfd_create("dhub-page", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  const auto failed = [] {
    return fail(ErrorCode::Unavailable, "the host could not set aside shared memory for an instance.");
  };
  if (!memory.is_open() || ::ftruncate(memory.get(), static_cast<off_t>(size)) != 0) return failed();
  // Sealed: a worker that shrinks it would kill the host with the next read.
  if (::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) return failed();
  void* start = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0);
  if (start == MAP_FAILED) return failed();
  SharedPage page(std::move(memory), static_cast<char*>(start), size);
  std::copy(std::begin(layout), std::end(layout), std::begin(page.layout_));
  for (std::size_t i = 0; i < 16; ++i) page.set_word(i, layout[i]);
  return page;
}

SharedPage::SharedPage(Descriptor memory, char* start, std::size_t size)
    : memory_(std::move(memory)), start_(start), size_(size) {}

SharedPage::SharedPage(SharedPage&& other) noexcept
    : memory_(std::move(other.memory_)), start_(std::exchange(other.start_, nullptr)), size_(other.size_) {
  std::copy(std::begin(other.layout_), std::end(other.layout_), std::begin(layout_));
}

SharedPage& SharedPage::operator=(SharedPage&& other) noexcept {
  std::swap(memory_, other.memory_);
  std::swap(start_, other.start_);
  std::swap(size_, other.size_);
  std::swap(layout_, other.layout_);
  return *this;
}

SharedPage::~SharedPage() {
  if (start_ != nullptr) ::munmap(start_, size_);
}

std::uint64_t SharedPage::word(std::size_t index) const {
  const auto* words = reinterpret_cast<std::uint64_t*>(start_);
  return std::atomic_ref<const std::uint64_t>(words[index]).load(std::memory_order_acquire);
}

void SharedPage::set_word(std::size_t index, std::uint64_t value) {
  auto* words = reinterpret_cast<std::uint64_t*>(start_);
  std::atomic_ref<std::uint64_t>(words[index]).store(value, std::memory_order_release);
}

void SharedPage::recall(std::uint64_t frames) {
  set_word(kRecalled, frames);
}

void SharedPage::catch_up() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  ::syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0);
}

bool SharedPage::several() const {
  return word(kSeveral) == 1;
}

std::vector<Begun> SharedPage::begun() const {
  std::vector<Begun> found;
  for (std::size_t slot = 0; slot < layout_[kSlots]; ++slot) {
    const std::uint64_t id = word(word_of(slot, kDelivery));
    const std::uint64_t since = word(word_of(slot, kSince));
    if (id == 0 || since == 0) continue;
    found.push_back({DeliveryId{id}, Instant(Duration(static_cast<std::int64_t>(since))), slot});
  }
  return found;
}

std::vector<DeliveryId> SharedPage::noted() const {
  std::vector<DeliveryId> found;
  for (std::size_t slot = 0; slot < layout_[kSlots]; ++slot) {
    if (const std::uint64_t id = word(word_of(slot, kDelivery)); id != 0) found.push_back(DeliveryId{id});
  }
  return found;
}

std::string_view SharedPage::finished_outcomes() const {
  return {start_ + layout_[kResultsAt], std::min(word(kUsed), layout_[kResultsSize])};
}

std::uint16_t SharedPage::step(std::size_t slot) const {
  return static_cast<std::uint16_t>(word(word_of(slot, kStep)));
}

std::string_view SharedPage::finished_steps(std::size_t slot) const {
  const std::uint64_t size = layout_[kFinishedSize];
  return {start_ + layout_[kFinishedAt] + slot * size, std::min(word(word_of(slot, kFinishedLength)), size)};
}

std::string_view SharedPage::log() const {
  return {start_ + layout_[kLogAt], std::min(word(kLogUsed), layout_[kLogLimit] + kMarkBytes)};
}

bool SharedPage::gave_up() const {
  return word(kCause) == kCauseMemory;
}

}  // namespace dhub::runner
