// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
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

// A row of the table: one page, or a run of whole pages in one state. A run is what keeps a seek over all there is, or
// a log that lost its beginning, as small as it sounds.
struct LedgerRow {
  std::int64_t page = 0;  // the first one
  std::int64_t pages = 1;
  FinalState state = FinalState::None;  // of every offset; None: `content` has them
  LedgerPage content;                   // of a single page
};

// Changes to the ledger of one position within one transaction: rows are read once and written once, and their number
// depends on how often the outcome changes, not on how many offsets there are. Keeps count of what it adds and takes
// away.
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
  // Takes back every state at and past `from`. Stores what was changed before.
  Status clear_from(PartitionId partition, std::int64_t from);

  // Writes the rows and the counts of the position.
  Status store();

 private:
  using Place = std::pair<std::int32_t, std::int64_t>;  // partition, first page
  struct Piece {
    LedgerRow row;  // a single page has its states in `content`, whatever they are
    bool changed = false;
  };
  using Pieces = std::map<Place, Piece>;
  // The offsets [from, to) of one piece; without one: whole pages that have no row.
  struct Part {
    std::int64_t from = 0;
    std::int64_t to = 0;
    Piece* piece = nullptr;
  };

  // Calls visit(Part) for one part after the other of [from, to).
  template <typename F>
  Status walk(PartitionId partition, std::int64_t from, std::int64_t to, F visit);
  Result<Part> part_at(PartitionId partition, std::int64_t from, std::int64_t to);
  Piece* known(PartitionId partition, std::int64_t page);
  Result<std::optional<LedgerRow>> row_at(PartitionId partition, std::int64_t page);
  // The end of the pages from `page` on, at most `end`, of which nothing is known and nothing stored.
  Result<std::int64_t> end_of_gap(PartitionId partition, std::int64_t page, std::int64_t end);
  Piece* keep(PartitionId partition, LedgerRow row, bool changed);
  void add_run(PartitionId partition, const Part& gap, FinalState state);
  Status count_back(PartitionId partition, std::int64_t first_page, std::int64_t from);
  Status store_piece(PartitionId partition, const LedgerRow& row);
  Status store_run(PartitionId partition, LedgerRow run);
  void count(FinalState state, std::int64_t n) { counts_[static_cast<std::size_t>(state)] += n; }

  Connection& db_;
  const PositionUid position_;
  Pieces pieces_;  // never one over another
  std::array<std::int64_t, 16> counts_{};
};

// Reads, on any connection.
[[nodiscard]] Result<FinalState> ledger_state(Connection& db, PositionUid position, PartitionId partition,
                                              Offset offset);
// What is finished at and past `from`, rising.
[[nodiscard]] Result<std::vector<FinishedRange>> finished_from(Connection& db, PositionUid position,
                                                               PartitionId partition, Offset from);

}  // namespace dhub::store
