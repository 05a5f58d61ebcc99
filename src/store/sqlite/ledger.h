// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "ports/journal.h"
#include "store/sqlite/sqlite.h"

namespace dhub::store {

constexpr std::int64_t kPageOffsets = 1024;

// What became of 1,024 offsets in a row, 4 bits each.
class LedgerPage {
 public:
  [[nodiscard]] FinalState get(std::size_t index) const {
    return static_cast<FinalState>((nibbles_[index / 2] >> (index % 2 * 4)) & 15);
  }
  void set(std::size_t index, FinalState state) {
    const int shift = static_cast<int>(index % 2 * 4);
    auto& byte = nibbles_[index / 2];
    byte = static_cast<std::uint8_t>((byte & ~(15 << shift)) | (static_cast<int>(state) << shift));
  }
  // The one state of all offsets; None when they differ or one is unfinished.
  [[nodiscard]] FinalState uniform() const;
  void fill(FinalState state);
  [[nodiscard]] std::string_view bytes() const {
    return {reinterpret_cast<const char*>(nibbles_.data()), nibbles_.size()};
  }
  // Corruption when the row cannot be a page.
  static Result<LedgerPage> of_row(std::int64_t state, std::string_view states);

 private:
  std::array<std::uint8_t, kPageOffsets / 2> nibbles_{};
};

// Changes to the ledger of one position within one transaction: pages are read once and written once. Keeps count of
// what it adds and takes away.
class LedgerEdit {
 public:
  LedgerEdit(Connection& db, PositionUid position) : db_(db), position_(position) {}

  Result<FinalState> state_of(PartitionId partition, std::int64_t offset);
  // Corruption when one of the offsets is final already.
  Status finish(const FinishedRange& range);
  // The first offset of [from, to) that is not final; `to` when all are.
  Result<std::int64_t> first_unfinished(PartitionId partition, std::int64_t from, std::int64_t to);
  // Gives every unfinished offset of [from, to) this state.
  Status finish_rest(PartitionId partition, std::int64_t from, std::int64_t to, FinalState state);
  // Takes back every state at and past `from`.
  Status clear_from(PartitionId partition, std::int64_t from);

  // Writes the pages and the counts of the position.
  Status store();

 private:
  using Place = std::pair<std::int32_t, std::int64_t>;  // partition, page
  struct Entry {
    LedgerPage page;
    bool changed = false;
  };
  Result<Entry*> entry(PartitionId partition, std::int64_t page);
  void count(FinalState state, std::int64_t n) { counts_[static_cast<std::size_t>(state)] += n; }

  Connection& db_;
  const PositionUid position_;
  std::map<Place, Entry> pages_;
  std::array<std::int64_t, 16> counts_{};
};

// Reads, on any connection.
[[nodiscard]] Result<FinalState> ledger_state(Connection& db, PositionUid position, PartitionId partition,
                                              Offset offset);
// What is finished at and past `from`, rising.
[[nodiscard]] Result<std::vector<FinishedRange>> finished_from(Connection& db, PositionUid position,
                                                               PartitionId partition, Offset from);

}  // namespace dhub::store
