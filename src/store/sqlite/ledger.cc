// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/ledger.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>

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

// Calls `visit(page, first, end)` for the part of [from, to) on each page, indices within the page.
template <typename F>
Status for_each_page(std::int64_t from, std::int64_t to, F visit) {
  while (from < to) {
    const std::int64_t page = page_of(from);
    const std::int64_t end = std::min(to, (page + 1) * kPageOffsets);
    RETURN_IF_ERROR(visit(page, index_of(from), index_of(from) + static_cast<std::size_t>(end - from)));
    from = end;
  }
  return {};
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
  if (states.size() != page.nibbles_.size() || state != 0)
    return fail(ErrorCode::Corruption, "A page of the ledger is damaged on the disk; restore the store from a backup.");
  std::memcpy(page.nibbles_.data(), states.data(), states.size());
  return page;
}

Result<LedgerEdit::Entry*> LedgerEdit::entry(PartitionId partition, std::int64_t page) {
  const Place place{partition.value, page};
  if (const auto known = pages_.find(place); known != pages_.end()) return &known->second;
  Entry entry;
  {
    Query row = db_.query("SELECT state, states FROM ledger WHERE position_uid=? AND partition=? AND page=?", position_,
                          partition, page);
    if (row.next()) {
      ASSIGN_OR_RETURN(entry.page, LedgerPage::of_row(row.integer(0), row.blob(1)));
    }
    RETURN_IF_ERROR(row.status());
  }
  return &(pages_[place] = entry);
}

Result<FinalState> LedgerEdit::state_of(PartitionId partition, std::int64_t offset) {
  ASSIGN_OR_RETURN(const Entry* entry_of_offset, entry(partition, page_of(offset)));
  return entry_of_offset->page.get(index_of(offset));
}

Status LedgerEdit::finish(const FinishedRange& range) {
  const std::int64_t to = range.first.value + range.count;
  count(range.state, range.count);
  return for_each_page(range.first.value, to, [&](std::int64_t number, std::size_t first, std::size_t end) -> Status {
    ASSIGN_OR_RETURN(Entry * touched, entry(range.partition, number));
    touched->changed = true;
    for (std::size_t i = first; i < end; ++i) {
      if (touched->page.get(i) != FinalState::None)
        return fail(ErrorCode::Corruption,
                    fmt::format("Offset {} of partition {} would be final twice ({}, then {}); nothing was stored.",
                                number * kPageOffsets + static_cast<std::int64_t>(i), range.partition,
                                to_string(touched->page.get(i)), to_string(range.state)));
      touched->page.set(i, range.state);
    }
    return {};
  });
}

Result<std::int64_t> LedgerEdit::first_unfinished(PartitionId partition, std::int64_t from, std::int64_t to) {
  std::int64_t found = to;
  const Status status = for_each_page(from, to, [&](std::int64_t number, std::size_t first, std::size_t end) -> Status {
    if (found != to) return {};
    ASSIGN_OR_RETURN(const Entry* seen, entry(partition, number));
    for (std::size_t i = first; i < end && found == to; ++i)
      if (seen->page.get(i) == FinalState::None) found = number * kPageOffsets + static_cast<std::int64_t>(i);
    return {};
  });
  if (!status) return fail(status.error());
  return found;
}

Status LedgerEdit::finish_rest(PartitionId partition, std::int64_t from, std::int64_t to, FinalState state) {
  return for_each_page(from, to, [&](std::int64_t number, std::size_t first, std::size_t end) -> Status {
    ASSIGN_OR_RETURN(Entry * touched, entry(partition, number));
    for (std::size_t i = first; i < end; ++i) {
      if (touched->page.get(i) != FinalState::None) continue;
      touched->page.set(i, state);
      touched->changed = true;
      count(state, 1);
    }
    return {};
  });
}

Status LedgerEdit::clear_from(PartitionId partition, std::int64_t from) {
  std::vector<std::int64_t> numbers;
  {
    Query row = db_.query("SELECT page FROM ledger WHERE position_uid=? AND partition=? AND page>=?", position_,
                          partition, page_of(from));
    while (row.next()) numbers.push_back(row.integer(0));
    RETURN_IF_ERROR(row.status());
  }
  for (const std::int64_t number : numbers) {
    ASSIGN_OR_RETURN(Entry * touched, entry(partition, number));
    touched->changed = true;
    for (std::size_t i = number == page_of(from) ? index_of(from) : 0; i < kPageOffsets; ++i) {
      if (touched->page.get(i) == FinalState::None) continue;
      count(touched->page.get(i), -1);
      touched->page.set(i, FinalState::None);
    }
  }
  return {};
}

Status LedgerEdit::store() {
  const LedgerPage empty;
  for (auto& [place, entry_of_place] : pages_) {
    if (!entry_of_place.changed) continue;
    const auto& [partition, number] = place;
    const LedgerPage& page = entry_of_place.page;
    const FinalState uniform = page.uniform();
    if (page.bytes() == empty.bytes())
      RETURN_IF_ERROR(
          db_.run("DELETE FROM ledger WHERE position_uid=? AND partition=? AND page=?", position_, partition, number));
    else if (uniform != FinalState::None)
      RETURN_IF_ERROR(
          db_.run("INSERT OR REPLACE INTO ledger (position_uid, partition, page, state, states) VALUES (?,?,?,?,NULL)",
                  position_, partition, number, uniform));
    else
      RETURN_IF_ERROR(
          db_.run("INSERT OR REPLACE INTO ledger (position_uid, partition, page, state, states) VALUES (?,?,?,0,?)",
                  position_, partition, number, Blob{page.bytes()}));
    entry_of_place.changed = false;
  }
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
  Query row = db.query(
      "SELECT page, state, states FROM ledger WHERE position_uid=? AND partition=? AND page>=? "
      "ORDER BY page",
      position, partition, page_of(from.value));
  while (row.next()) {
    ASSIGN_OR_RETURN(const LedgerPage page, LedgerPage::of_row(row.integer(1), row.blob(2)));
    const std::int64_t base = row.integer(0) * kPageOffsets;
    for (std::size_t i = 0; i < kPageOffsets; ++i) {
      const std::int64_t offset = base + static_cast<std::int64_t>(i);
      const FinalState state = page.get(i);
      if (offset < from.value || state == FinalState::None) continue;
      const bool continues =
          !ranges.empty() && ranges.back().state == state && ranges.back().first.value + ranges.back().count == offset;
      if (continues)
        ++ranges.back().count;
      else
        ranges.push_back({partition, Offset{offset}, 1, state});
    }
  }
  RETURN_IF_ERROR(row.status());
  return ranges;
}

}  // namespace dhub::store
