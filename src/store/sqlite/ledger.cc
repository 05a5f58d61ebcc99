// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/ledger.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <optional>

namespace dhub::store {
namespace {

std::int64_t page_of(std::int64_t offset) {
  return offset / kPageOffsets;
}

std::size_t index_of(std::int64_t offset) {
  return static_cast<std::size_t>(offset % kPageOffsets);
}

bool is_final_state(std::int64_t state) {
  return state > static_cast<std::int64_t>(FinalState::None) && state <= static_cast<std::int64_t>(FinalState::Absent);
}

tl::unexpected<Error> damaged() {
  return fail(ErrorCode::Corruption, "A page of the ledger is damaged on the disk; restore the store from a backup.");
}

#define DHUB_LEDGER_COLUMNS "page, pages, state, states"

// Corruption when it cannot be a row.
Result<LedgerRow> row_of(const Query& query) {
  LedgerRow row;
  row.page = query.integer(0);
  row.pages = query.integer(1);
  const bool uniform = query.blob(3).empty();
  if (row.pages < 1 || (row.pages > 1 && !uniform)) return damaged();
  ASSIGN_OR_RETURN(row.content, LedgerPage::of_row(query.integer(2), query.blob(3)));
  if (uniform) row.state = static_cast<FinalState>(query.integer(2));
  return row;
}

std::int64_t first_offset(const LedgerRow& row) {
  return row.page * kPageOffsets;
}

std::int64_t end_offset(const LedgerRow& row) {
  return (row.page + row.pages) * kPageOffsets;
}

// Calls visit(state, first, count) for each stretch of one state, at and past `from`.
template <typename F>
void for_each_stretch(const LedgerRow& row, std::int64_t from, F visit) {
  std::int64_t at = std::max(from, first_offset(row));
  const std::int64_t end = end_offset(row);
  if (row.state != FinalState::None && at < end) return visit(row.state, at, end - at);
  while (at < end) {
    const FinalState state = row.content.get(index_of(at));
    const std::int64_t first = at;
    while (at < end && row.content.get(index_of(at)) == state) ++at;
    visit(state, first, at - first);
  }
}

}  // namespace

FinalState LedgerPage::uniform() const {
  const std::uint8_t first = nibbles_[0];
  if ((first & 15) != first >> 4) return FinalState::None;
  const bool same = std::all_of(nibbles_.begin(), nibbles_.end(), [&](std::uint8_t byte) { return byte == first; });
  return same ? static_cast<FinalState>(first & 15) : FinalState::None;
}

void LedgerPage::fill(FinalState state) {
  nibbles_.fill(static_cast<std::uint8_t>(static_cast<int>(state) * 17));
}

Result<LedgerPage> LedgerPage::of_row(std::int64_t state, std::string_view states) {
  LedgerPage page;
  if (states.empty() && is_final_state(state)) {
    page.fill(static_cast<FinalState>(state));
    return page;
  }
  if (states.size() != page.nibbles_.size() || state != 0) return damaged();
  std::memcpy(page.nibbles_.data(), states.data(), states.size());
  return page;
}

template <typename F>
Status LedgerEdit::walk(PartitionId partition, std::int64_t from, std::int64_t to, F visit) {
  while (from < to) {
    ASSIGN_OR_RETURN(const Part part, part_at(partition, from, to));
    RETURN_IF_ERROR(visit(part));
    from = part.to;
  }
  return {};
}

Result<LedgerEdit::Part> LedgerEdit::part_at(PartitionId partition, std::int64_t from, std::int64_t to) {
  const std::int64_t page = page_of(from);
  Piece* piece = known(partition, page);
  if (piece == nullptr) {
    ASSIGN_OR_RETURN(const auto stored, row_at(partition, page));
    if (stored) piece = keep(partition, *stored, false);
  }
  if (piece == nullptr) {
    const std::int64_t whole = index_of(from) == 0 ? page_of(to) : page;
    if (whole - page > 1) {
      ASSIGN_OR_RETURN(const std::int64_t end, end_of_gap(partition, page, whole));
      if (end - page > 1) return Part{from, end * kPageOffsets, nullptr};
    }
    piece = keep(partition, {page, 1, FinalState::None, {}}, false);
  }
  return Part{from, std::min(to, end_offset(piece->row)), piece};
}

LedgerEdit::Piece* LedgerEdit::known(PartitionId partition, std::int64_t page) {
  auto after = pieces_.upper_bound({partition.value, page});
  if (after == pieces_.begin()) return nullptr;
  auto& [place, piece] = *--after;
  return place.first == partition.value && page < piece.row.page + piece.row.pages ? &piece : nullptr;
}

Result<std::optional<LedgerRow>> LedgerEdit::row_at(PartitionId partition, std::int64_t page) {
  Query query = db_.query("SELECT " DHUB_LEDGER_COLUMNS
                          " FROM ledger WHERE position_uid=? AND partition=? AND page<=? ORDER BY page DESC LIMIT 1",
                          position_, partition, page);
  const bool found = query.next();
  RETURN_IF_ERROR(query.status());
  // One that ends before is not looked at: a damaged one is for those who ask about its own offsets.
  if (!found || (query.integer(1) > 0 && query.integer(0) + query.integer(1) <= page)) return std::nullopt;
  return row_of(query);
}

Result<std::int64_t> LedgerEdit::end_of_gap(PartitionId partition, std::int64_t page, std::int64_t end) {
  const auto next = pieces_.upper_bound({partition.value, page});
  if (next != pieces_.end() && next->first.first == partition.value) end = std::min(end, next->first.second);
  Query query =
      db_.query("SELECT page FROM ledger WHERE position_uid=? AND partition=? AND page>? ORDER BY page LIMIT 1",
                position_, partition, page);
  if (query.next()) end = std::min(end, query.integer(0));
  RETURN_IF_ERROR(query.status());
  return end;
}

LedgerEdit::Piece* LedgerEdit::keep(PartitionId partition, LedgerRow row, bool changed) {
  if (row.pages == 1) row.state = FinalState::None;
  return &(pieces_[{partition.value, row.page}] = {row, changed});
}

void LedgerEdit::add_run(PartitionId partition, const Part& gap, FinalState state) {
  keep(partition, {page_of(gap.from), page_of(gap.to) - page_of(gap.from), state, {}}, true);
}

Result<FinalState> LedgerEdit::state_of(PartitionId partition, std::int64_t offset) {
  ASSIGN_OR_RETURN(const Part part, part_at(partition, offset, offset + 1));
  const LedgerRow& row = part.piece->row;
  return row.state != FinalState::None ? row.state : row.content.get(index_of(offset));
}

Status LedgerEdit::finish(const FinishedRange& range) {
  const auto twice = [&range](std::int64_t offset, FinalState before) {
    return fail(ErrorCode::Corruption,
                fmt::format("Offset {} of partition {} would be final twice ({}, then {}); nothing was stored.", offset,
                            range.partition, to_string(before), to_string(range.state)));
  };
  const std::int64_t to = range.first.value + range.count;
  count(range.state, range.count);
  return walk(range.partition, range.first.value, to, [&](const Part& part) -> Status {
    if (part.piece == nullptr) {
      add_run(range.partition, part, range.state);
      return {};
    }
    LedgerRow& row = part.piece->row;
    if (row.state != FinalState::None) return twice(part.from, row.state);
    part.piece->changed = true;
    for (std::int64_t offset = part.from; offset < part.to; ++offset) {
      const std::size_t i = index_of(offset);
      if (row.content.get(i) != FinalState::None) return twice(offset, row.content.get(i));
      row.content.set(i, range.state);
    }
    return {};
  });
}

Result<std::int64_t> LedgerEdit::first_unfinished(PartitionId partition, std::int64_t from, std::int64_t to) {
  std::int64_t found = to;
  const Status status = walk(partition, from, to, [&](const Part& part) -> Status {
    if (found != to) return {};
    if (part.piece == nullptr) found = part.from;
    if (part.piece == nullptr || part.piece->row.state != FinalState::None) return {};
    const LedgerPage& page = part.piece->row.content;
    for (std::int64_t offset = part.from; offset < part.to && found == to; ++offset)
      if (page.get(index_of(offset)) == FinalState::None) found = offset;
    return {};
  });
  if (!status) return fail(status.error());
  return found;
}

Status LedgerEdit::finish_rest(PartitionId partition, std::int64_t from, std::int64_t to, FinalState state) {
  return walk(partition, from, to, [&](const Part& part) -> Status {
    if (part.piece == nullptr) {
      add_run(partition, part, state);
      count(state, part.to - part.from);
      return {};
    }
    LedgerRow& row = part.piece->row;
    if (row.state != FinalState::None) return {};
    for (std::int64_t offset = part.from; offset < part.to; ++offset) {
      const std::size_t i = index_of(offset);
      if (row.content.get(i) != FinalState::None) continue;
      row.content.set(i, state);
      part.piece->changed = true;
      count(state, 1);
    }
    return {};
  });
}

Status LedgerEdit::clear_from(PartitionId partition, std::int64_t from) {
  RETURN_IF_ERROR(store());
  const std::int64_t page = page_of(from);
  ASSIGN_OR_RETURN(const auto cut, row_at(partition, page));
  const std::int64_t first = cut ? cut->page : page;
  RETURN_IF_ERROR(count_back(partition, first, from));
  RETURN_IF_ERROR(
      db_.run("DELETE FROM ledger WHERE position_uid=? AND partition=? AND page>=?", position_, partition, first));
  if (!cut) return {};
  LedgerRow before = *cut;
  before.pages = page - cut->page;
  if (before.pages > 0) keep(partition, before, true);
  LedgerRow edge{page, 1, FinalState::None, {}};
  for (std::size_t i = 0; i < index_of(from); ++i) edge.content.set(i, cut->content.get(i));
  keep(partition, edge, true);
  return {};
}

// Row by row, for there may be many: every dead letter has its page.
Status LedgerEdit::count_back(PartitionId partition, std::int64_t first_page, std::int64_t from) {
  Query query = db_.query("SELECT " DHUB_LEDGER_COLUMNS " FROM ledger WHERE position_uid=? AND partition=? AND page>=?",
                          position_, partition, first_page);
  while (query.next()) {
    ASSIGN_OR_RETURN(const LedgerRow row, row_of(query));
    for_each_stretch(row, from, [this](FinalState state, std::int64_t, std::int64_t n) {
      if (state != FinalState::None) count(state, -n);
    });
  }
  return query.status();
}

Status LedgerEdit::store_piece(PartitionId partition, const LedgerRow& row) {
  const FinalState uniform = row.pages > 1 ? row.state : row.content.uniform();
  if (uniform != FinalState::None) return store_run(partition, {row.page, row.pages, uniform, {}});
  if (row.content.bytes() == LedgerPage().bytes())
    return db_.run("DELETE FROM ledger WHERE position_uid=? AND partition=? AND page=?", position_, partition,
                   row.page);
  return db_.run(
      "INSERT OR REPLACE INTO ledger (position_uid, partition, page, state, states, pages) VALUES (?,?,?,0,?,1)",
      position_, partition, row.page, Blob{row.content.bytes()});
}

// Joined with a neighbour in the same state: a row says where the outcome changes.
Status LedgerEdit::store_run(PartitionId partition, LedgerRow run) {
  RETURN_IF_ERROR(
      db_.run("DELETE FROM ledger WHERE position_uid=? AND partition=? AND page=?", position_, partition, run.page));
  const std::int64_t end = run.page + run.pages;
  for (const std::int64_t beside : {run.page - 1, end}) {
    if (beside < 0) continue;
    const auto stored = row_at(partition, beside);
    if (!stored && stored.error().code != ErrorCode::Corruption) return fail(stored.error());
    if (!stored || !*stored || (*stored)->state != run.state) continue;  // a damaged neighbour is none
    const LedgerRow& row = **stored;
    RETURN_IF_ERROR(
        db_.run("DELETE FROM ledger WHERE position_uid=? AND partition=? AND page=?", position_, partition, row.page));
    run.page = std::min(run.page, row.page);
    run.pages += row.pages;
  }
  return db_.run(
      "INSERT OR REPLACE INTO ledger (position_uid, partition, page, state, states, pages) VALUES (?,?,?,?,NULL,?)",
      position_, partition, run.page, run.state, run.pages);
}

Status LedgerEdit::store() {
  for (const auto& [place, piece] : pieces_)
    if (piece.changed) RETURN_IF_ERROR(store_piece(PartitionId{place.first}, piece.row));
  pieces_.clear();
  const auto n = [this](FinalState state) { return counts_[static_cast<std::size_t>(state)]; };
  const bool nothing = std::all_of(counts_.begin(), counts_.end(), [](std::int64_t c) { return c == 0; });
  if (nothing) return {};
  RETURN_IF_ERROR(
      db_.run("UPDATE positions SET succeeded=succeeded+?, filtered=filtered+?, dead_lettered=dead_lettered+?, "
              "expired=expired+?, skipped=skipped+?, absent=absent+? WHERE uid=?",
              n(FinalState::Succeeded), n(FinalState::Filtered), n(FinalState::DeadLettered), n(FinalState::Expired),
              n(FinalState::Skipped), n(FinalState::Absent), position_));
  counts_.fill(0);
  return {};
}

Result<FinalState> ledger_state(Connection& db, PositionUid position, PartitionId partition, Offset offset) {
  if (offset.value < 0) return FinalState::None;
  return LedgerEdit(db, position).state_of(partition, offset.value);
}

Result<std::vector<FinishedRange>> finished_from(Connection& db, PositionUid position, PartitionId partition,
                                                 Offset from) {
  std::vector<FinishedRange> ranges;
  // A run may begin long before.
  Query query =
      db.query("SELECT " DHUB_LEDGER_COLUMNS
               " FROM ledger WHERE position_uid=?1 AND partition=?2 AND page>=coalesce((SELECT max(page) FROM "
               "ledger WHERE position_uid=?1 AND partition=?2 AND page<=?3), ?3) ORDER BY page",
               position, partition, page_of(from.value));
  while (query.next()) {
    // One that ends before is not looked at, see row_at().
    if (query.integer(1) > 0 && query.integer(0) + query.integer(1) <= page_of(from.value)) continue;
    ASSIGN_OR_RETURN(const LedgerRow row, row_of(query));
    for_each_stretch(row, from.value, [&](FinalState state, std::int64_t first, std::int64_t n) {
      if (state == FinalState::None) return;
      const bool joins =
          !ranges.empty() && ranges.back().state == state && ranges.back().first.value + ranges.back().count == first;
      if (joins)
        ranges.back().count += n;
      else
        ranges.push_back({partition, Offset{first}, n, state});
    });
  }
  RETURN_IF_ERROR(query.status());
  return ranges;
}

}  // namespace dhub::store
