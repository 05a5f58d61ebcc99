// SPDX-License-Identifier: Apache-2.0
#include "delivery/backlog.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/check.h"

namespace dhub::delivery {
namespace {

// What lies so near before the next offset that is wanted again is read over rather than passed by with a seek.
constexpr std::int64_t kReadOver = 32 << 10;

bool brings(const ReadChunk& chunk, std::int64_t offset) {
  const auto& records = chunk.batch->records;
  const auto found =
      std::lower_bound(records.begin(), records.end(), offset,
                       [](const RecordView& record, std::int64_t wanted) { return record.offset.value < wanted; });
  return found != records.end() && found->offset.value == offset;
}

}  // namespace

void Backlog::add(const LoadedPartition& partition, std::vector<StoredFailure> failures, const Now& now) {
  const auto w = size();
  const bool is_new = by_partition_.emplace(partition.partition.value, w).second;
  CHECK(is_new);
  windows_.emplace_back(partition, std::move(failures), now);
  passes_.emplace_back();
  if (windows_[w].runs_low(limits_.reserve_step)) {
    touch(w);
    reservation_wanted_ = true;
  }
}

std::optional<std::uint32_t> Backlog::index_of(PartitionId partition) const {
  const auto found = by_partition_.find(partition.value);
  return found == by_partition_.end() ? std::nullopt : std::optional(found->second);
}

// ---- reading ----

void Backlog::set_appetite(const Appetite& appetite) {
  if (appetite == appetite_) return;
  appetite_ = appetite;
  const std::int64_t share = 2 * static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(appetite.frame)));
  if (share == share_) return;
  lanes_.for_each([&](const Lane& lane) { weigh(lane, -1); });
  share_ = share;
  lanes_.for_each([&](const Lane& lane) { weigh(lane, +1); });
}

bool Backlog::has_enough() const {
  if (startable_ < share_ * std::max<std::int64_t>(appetite_.instances, 1)) return false;
  return !appetite_.may_grow || stock_ >= limits_.read_ahead || held_bytes() >= most_bytes() / 2;
}

std::optional<Offset> Backlog::wants_read(std::uint32_t w) const {
  const Window& window = windows_[w];
  if (window.size() >= limits_.window_offsets || !wants_more()) return std::nullopt;
  if (ordering_ == Ordering::Partition && is_held_up(window)) return std::nullopt;
  return window.next_read();
}

// With one order for the whole partition there is nothing to find behind a head that takes its time.
bool Backlog::is_held_up(const Window& window) const {
  const auto lane = lanes_.find(Lanes::key_of(window.id(), ""));
  return lane != Lanes::kNone && (lanes_[lane].is_parked || !lanes_[lane].lacking.none());
}

bool Backlog::wants_again() const {
  return std::any_of(lacking_.begin(), lacking_.end(), [this](std::uint32_t w) { return first_wanted(w).has_value(); });
}

std::optional<Offset> Backlog::wants_again(std::uint32_t w) const {
  const auto first = first_wanted(w);
  const Offset next = passes_[w].next;
  const bool on_the_way = first && next.value >= 0 && next <= *first && first->value - next.value < kReadOver;
  return on_the_way ? next : first;
}

// At the budget's end it must be the turn of the one that lacks its bytes, and nothing else may be there to begin: it
// is what the others wait for then.
std::optional<Offset> Backlog::first_wanted(std::uint32_t w) const {
  const auto& wanted = passes_[w].wanted;
  auto first = wanted.begin();
  if (is_full_of_bytes())
    first = stock_ > 0 ? wanted.end() : std::find_if(first, wanted.end(), [this](const auto& one) {
      return lanes_[one.second].head == lanes_[one.second].lacking;
    });
  return first == wanted.end() ? std::nullopt : std::optional(Offset{first->first});
}

void Backlog::take(std::uint32_t w, const ReadChunk& chunk, Arrivals& arrivals) {
  Window& window = windows_[w];
  const std::int64_t end = window.base().value + limits_.window_offsets;
  for (const auto& record : chunk.batch->records) {
    if (record.offset < window.next_read()) continue;
    admit_gap(w, Offset{std::min(record.offset.value, end)}, chunk.log_start, arrivals);
    if (window.next_read() != record.offset || record.offset.value >= end) break;
    admit(w, record, chunk.batch, arrivals);
  }
  const bool took_all = chunk.batch->records.empty() || window.next_read() > chunk.batch->records.back().offset;
  if (took_all) admit_gap(w, Offset{std::min(chunk.next_offset.value, end)}, chunk.log_start, arrivals);
  const Offset base = window.base();
  window.drop_final();
  if (window.base() != base) touch(w);
}

// Offsets that have no record: retention took them (expired, unless the journal has kept their bytes), or there never
// was one.
void Backlog::admit_gap(std::uint32_t w, Offset until, Offset log_start, Arrivals& arrivals) {
  Window& window = windows_[w];
  while (window.next_read() < until) {
    const Offset offset = window.next_read();
    if (const Message* kept = window.kept_message(offset)) {
      const auto batch = batch_of_one(Message(*kept), offset);
      admit(w, batch->records[0], batch, arrivals);
      continue;
    }
    Entry& added = window.append(Entry{});
    if (added.final_state != FinalState::None) continue;  // finished before the load
    added.state = EntryState::Waiting;
    ++window.unfinished;
    ++unfinished_;
    arrivals.gone.push_back({{w, offset}, offset < log_start ? FinalState::Expired : FinalState::Absent});
  }
}

void Backlog::admit(std::uint32_t w, const RecordView& record, const RecordBatchRef& batch, Arrivals& arrivals) {
  Window& window = windows_[w];
  const Ref ref{w, window.next_read()};
  const std::int64_t failing = window.failing;
  Entry fresh;
  fresh.state = EntryState::Waiting;
  Entry& added = window.append(fresh);
  failing_ += window.failing - failing;
  if (added.final_state != FinalState::None) return;
  ++window.unfinished;
  ++unfinished_;
  added.lane = lane_of(w, record);
  const bool first = added.lane == Lanes::kNone || join(ref);
  if (window.failure(ref.offset) != nullptr) {
    hold_alone(added, record);
    recount(ref);
    if (first) park(ref);
  } else if (added.lane == Lanes::kNone) {
    hold(added, record, batch);
    set_in_stock(added, true);
  } else {
    admit_behind(ref, record, batch);
  }
  if (first) arrivals.turns.push_back(ref);
}

// Of a key that lacks bytes already, more of them would lie around until it is their turn.
void Backlog::admit_behind(const Ref& ref, const RecordView& record, const RecordBatchRef& batch) {
  Entry& added = entry(ref);
  Lane& lane = lanes_[added.lane];
  if (!lane.lacking.none()) return;
  if (lane.is_parked) {
    if (!park_bytes(added, lane, record)) set_lacking(added.lane, ref);
  } else if (lane.stock < share_ || held_bytes() < most_bytes() / 2) {
    hold(added, record, batch);
    set_in_stock(added, true);
  } else {
    set_lacking(added.lane, ref);
  }
}

Lanes::Index Backlog::lane_of(std::uint32_t w, const RecordView& record) {
  if (ordering_ == Ordering::Partition) return lanes_.of(Lanes::key_of(windows_[w].id(), ""));
  if (ordering_ == Ordering::None || !record.key) return Lanes::kNone;
  return lanes_.of(Lanes::key_of(windows_[w].id(), *record.key));
}

// At the end of its lane; true when it is the lane's first.
bool Backlog::join(const Ref& ref) {
  Lane& lane = lanes_[entry(ref).lane];
  const bool first = lane.head.none();
  if (first) {
    lane.head = ref;
  } else {
    Entry& before = entry(lane.tail);
    before.next_offset = ref.offset;
    before.next_window = ref.window;
  }
  lane.tail = ref;
  return first;
}

void Backlog::take_again(std::uint32_t w, const ReadChunk& chunk, Arrivals& arrivals) {
  Window& window = windows_[w];
  for (auto at = next_wanted(w, chunk.from); at && *at < chunk.next_offset; at = next_wanted(w, Offset{at->value + 1}))
    pass_gone(entry({w, *at}).lane, chunk, arrivals);
  for (const auto& record : chunk.batch->records) {
    if (!window.holds(record.offset)) continue;
    const Ref ref{w, record.offset};
    Entry& held = entry(ref);
    if (held.lane == Lanes::kNone || held.state != EntryState::Waiting) continue;
    Lane& lane = lanes_[held.lane];
    const bool first = lane.head == ref;
    if (lane.lacking != ref || lane.is_parked || (is_full_of_bytes() && !first)) continue;
    hold_alone(held, record);
    set_lacking(held.lane, next_lacking(ref));
    set_in_stock(held, true);
    if (first) arrivals.turns.push_back(ref);
    pass_gone(held.lane, chunk, arrivals);
  }
  if (chunk.end_reached) arrivals.end_too_low = next_wanted(w, chunk.next_offset);
  passes_[w].next = chunk.next_offset;
}

std::optional<Offset> Backlog::next_wanted(std::uint32_t w, Offset from) const {
  const auto at = passes_[w].wanted.lower_bound({from.value, 0});
  return at == passes_[w].wanted.end() ? std::nullopt : std::optional(Offset{at->first});
}

// ExpireGone: unfinished, not in flight, and its bytes are neither in the log nor in memory nor in the journal.
void Backlog::pass_gone(Lanes::Index index, const ReadChunk& chunk, Arrivals& arrivals) {
  Lane& lane = lanes_[index];
  while (lane.is_hungry && lane.lacking.offset >= chunk.from && lane.lacking.offset < chunk.next_offset &&
         !brings(chunk, lane.lacking.offset.value)) {
    const Ref gone = lane.lacking;
    arrivals.gone.push_back({gone, gone.offset < chunk.log_start ? FinalState::Expired : FinalState::Absent});
    set_lacking(index, next_lacking(gone));
  }
}

// ---- order ----

bool Backlog::is_first(const Ref& ref) const {
  const Entry& candidate = entry(ref);
  return candidate.lane == Lanes::kNone || lanes_[candidate.lane].head == ref;
}

bool Backlog::may_start(const Ref& ref) const {
  if (!windows_[ref.window].holds(ref.offset)) return false;
  const Entry& candidate = entry(ref);
  return candidate.state == EntryState::Waiting && candidate.record != nullptr && is_first(ref);
}

std::optional<Ref> Backlog::first_of_key(const Ref& ref) const {
  const Entry& one = entry(ref);
  return one.lane == Lanes::kNone ? std::nullopt : std::optional(lanes_[one.lane].head);
}

std::optional<Ref> Backlog::advance(const Ref& finished) {
  const Lanes::Index index = entry(finished).lane;
  if (index == Lanes::kNone) return std::nullopt;
  Lane& lane = lanes_[index];
  const Ref before = lane.head;
  // An entry below the base was dropped as Final; its lane had been advanced past it before that.
  while (!lane.head.none()) {
    const Entry& head = entry(lane.head);
    if (head.state != EntryState::Done && head.state != EntryState::Final) break;
    lane.head = head.next();
  }
  if (lane.head == before) return std::nullopt;
  unpark(index);
  if (lane.head.none()) {
    lanes_.release(index);
    return std::nullopt;
  }
  if (failure(lane.head) != nullptr) park_lane(index);
  return entry(lane.head).state == EntryState::Waiting ? std::optional(lane.head) : std::nullopt;
}

// ---- what becomes of an event ----

void Backlog::begin(const Ref& ref) {
  Entry& sent = entry(ref);
  set_in_stock(sent, false);
  sent.state = EntryState::InFlight;
  Window& window = windows_[ref.window];
  ++window.in_flight;
  if (window.failure(ref.offset) != nullptr) ++window.retries_in_flight;
}

void Backlog::land(const Ref& ref) {
  entry(ref).state = EntryState::Waiting;
  Window& window = windows_[ref.window];
  --window.in_flight;
  if (window.failure(ref.offset) != nullptr) --window.retries_in_flight;
}

void Backlog::give_back(const Ref& ref) {
  Entry& returned = entry(ref);
  if (failure(ref) != nullptr) return;
  set_in_stock(returned, true);
  if (returned.lane != Lanes::kNone && is_first(ref)) unpark(returned.lane);
}

Failure& Backlog::fail(const Ref& ref) {
  Window& window = windows_[ref.window];
  const std::int64_t failing = window.failing;
  Failure& row = window.make_failure(ref.offset);
  failing_ += window.failing - failing;
  return row;
}

void Backlog::failed(const Ref& ref) {
  Entry& one = entry(ref);
  one.state = EntryState::Failing;
  recount(ref);
  if (!one.is_alone) hold_alone(one, *one.record);
  park(ref);
}

void Backlog::bury(const Ref& ref) {
  Entry& dying = entry(ref);
  dying.state = EntryState::Dying;
  dying.final_state = FinalState::DeadLettered;
  recount(ref);
  touch(ref.window);
}

void Backlog::finish(const Ref& ref, FinalState state) {
  Entry& finished = entry(ref);
  if (finished.lane != Lanes::kNone && lanes_[finished.lane].lacking == ref)
    set_lacking(finished.lane, next_lacking(ref));
  set_in_stock(finished, false);
  finished.state = EntryState::Done;
  finished.final_state = state;
  let_go(finished);
  --windows_[ref.window].unfinished;
  --unfinished_;
  touch(ref.window);
}

void Backlog::store(const Ref& ref) {
  Window& window = windows_[ref.window];
  if (entry(ref).state == EntryState::Dying) {
    let_go(entry(ref));
    --window.unfinished;
    --unfinished_;
  }
  const std::int64_t failing = window.failing;
  failure_bytes_ -= window.finish(ref.offset);
  failing_ += window.failing - failing;
}

// ---- what the next commit has to say of partitions ----

void Backlog::touch(std::uint32_t w) {
  if (std::exchange(windows_[w].touched, true)) return;
  touched_.push_back(w);
}

bool Backlog::reserve(const Ref& ref) {
  Window& window = windows_[ref.window];
  window.frontier = std::max(window.frontier, ref.offset.value + 1);
  if (window.runs_low(limits_.reserve_step)) {
    touch(ref.window);
    reservation_wanted_ = true;
  }
  return ref.offset.value < window.dispatched_through;
}

std::vector<JournalCommit::PartitionState> Backlog::take_changes(bool reserve) {
  std::sort(touched_.begin(), touched_.end());
  std::vector<JournalCommit::PartitionState> changes;
  changes.reserve(touched_.size());
  for (const std::uint32_t w : touched_) {
    Window& window = windows_[w];
    window.touched = false;
    if (reserve && window.runs_low(limits_.reserve_step)) window.reserve_asked = window.frontier + limits_.reserve_step;
    changes.push_back({window.id(), window.cursor_with_commit(), Offset{window.reserve_asked}});
  }
  touched_.clear();
  reservation_wanted_ = false;
  return changes;
}

}  // namespace dhub::delivery
