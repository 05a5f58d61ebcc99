// SPDX-License-Identifier: Apache-2.0
#include "delivery/engine.h"

#include <algorithm>
#include <fmt/format.h>
#include <functional>
#include <utility>

#include "base/check.h"

namespace dhub::delivery {
namespace {

std::vector<StoredFailure> failures_of(std::vector<StoredFailure>& all, PartitionId partition) {
  std::vector<StoredFailure> own;
  for (auto& row : all)
    if (row.partition == partition) own.push_back(std::move(row));
  return own;
}

}  // namespace

Engine::Engine(EngineSettings settings, LoadedPosition loaded, const Now& now)
    : settings_(std::move(settings)),
      position_(loaded.position),
      epoch_(loaded.owner_epoch),
      pass_(loaded.pass),
      random_(settings_.seed),
      details_refilled_(now.mono),
      details_left_(static_cast<double>(settings_.limits.details_per_second)) {
  std::sort(loaded.partitions.begin(), loaded.partitions.end(),
            [](const auto& a, const auto& b) { return a.partition < b.partition; });
  for (const auto& partition : loaded.partitions)
    windows_.emplace_back(partition, failures_of(loaded.failures, partition.partition), now);
}

// Behind the others: what refers to a window does so by its place.
void Engine::add_partition(const LoadedPartition& partition, const Now& now) {
  CHECK(window(partition.partition) == nullptr);
  windows_.emplace_back(partition, std::vector<StoredFailure>{}, now);
}

std::uint32_t Engine::index_of(PartitionId partition) const {
  for (std::uint32_t i = 0; i < windows_.size(); ++i)
    if (windows_[i].id() == partition) return i;
  CHECK(false);
}

Window& Engine::window_of(PartitionId partition) {
  return windows_[index_of(partition)];
}

const Window* Engine::window(PartitionId partition) const {
  for (const auto& window : windows_)
    if (window.id() == partition) return &window;
  return nullptr;
}

// ---- reading ----

void Engine::records(PartitionId partition, const ReadChunk& chunk, const Now& now, Outputs& out) {
  const std::uint32_t w = index_of(partition);
  const std::int64_t end = windows_[w].base().value + settings_.limits.window_offsets;
  for (const auto& record : chunk.batch->records) {
    if (record.offset < windows_[w].next_read()) continue;
    admit_gap(w, Offset{std::min(record.offset.value, end)}, chunk.log_start, now);
    if (windows_[w].next_read() != record.offset || record.offset.value >= end) break;
    admit(w, &record, chunk.batch, now);
  }
  const bool took_all = chunk.batch->records.empty() || windows_[w].next_read() > chunk.batch->records.back().offset;
  if (took_all) admit_gap(w, Offset{std::min(chunk.next_offset.value, end)}, chunk.log_start, now);
  windows_[w].drop_final();
  pump(now, out);
}

// Offsets that have no record: retention took them (expired, unless the journal has kept their bytes), or there never
// was one.
void Engine::admit_gap(std::uint32_t w, Offset until, Offset log_start, const Now& now) {
  while (windows_[w].next_read() < until) {
    const Offset offset = windows_[w].next_read();
    if (const Message* kept = windows_[w].kept_message(offset)) {
      admit_kept(w, Message(*kept), now);
      continue;
    }
    Entry& added = windows_[w].append(Entry{});
    if (added.final_state != FinalState::None) continue;  // finished before the load
    added.state = EntryState::Waiting;
    ++windows_[w].unfinished;
    finish_entry({w, offset}, offset < log_start ? FinalState::Expired : FinalState::Absent, now);
  }
}

void Engine::admit_kept(std::uint32_t w, const Message& message, const Now& now) {
  const auto batch = batch_of_one(message, windows_[w].next_read());
  admit(w, &batch->records[0], batch, now);
}

void Engine::admit(std::uint32_t w, const RecordView* record, const RecordBatchRef& batch, const Now& now) {
  const Offset offset = windows_[w].next_read();
  Entry fresh;
  fresh.state = EntryState::Waiting;
  fresh.lane = lane_of(w, *record);
  Entry& added = windows_[w].append(std::move(fresh));
  if (added.final_state != FinalState::None) return;
  ++windows_[w].unfinished;
  const bool first = added.lane == 0 || windows_[w].join_lane(offset);
  // Behind a key that waits for a retry, payloads would only fill the budget that other keys need to go on.
  const bool failed_before = windows_[w].failure(offset) != nullptr;
  const bool blocked_long = !first && !failed_before && held_bytes() > settings_.limits.window_bytes / 2;
  if (!blocked_long) hold(added, record, batch);
  if (failed_before) {
    hold_alone({w, offset});
    failure_bytes_ += windows_[w].recount(offset);
  }
  if (first) make_ready({w, offset}, now, false);
}

LaneId Engine::lane_of(std::uint32_t w, const RecordView& record) const {
  if (settings_.ordering == Ordering::Partition) return w + 1;
  if (settings_.ordering == Ordering::None || !record.key) return 0;
  const LaneId hash = std::hash<std::string_view>{}(*record.key);
  return hash == 0 ? 1 : hash;
}

void Engine::hold(Entry& held, const RecordView* record, const RecordBatchRef& batch) {
  held.hold = holds_.hold(batch);
  held.record = record;
}

// An event that stays long gets a copy of its own, so that it does not keep a whole batch.
void Engine::hold_alone(const Ref& ref) {
  Entry& held = entry(ref);
  const RecordBatchRef own = batch_of_one(*held.record);
  let_go(held);
  hold(held, &own->records[0], own);
}

std::uint64_t Engine::held_bytes() const {
  return holds_.bytes() + static_cast<std::uint64_t>(failure_bytes_);
}

void Engine::let_go(Entry& held) {
  if (held.record == nullptr) return;
  holds_.release(held.hold);
  held.hold = BatchHolds::kNone;
  held.record = nullptr;
}

void Engine::let_go_of_lane_behind(const Ref& ref) {
  if (entry(ref).lane == 0 || held_bytes() < settings_.limits.window_bytes / 4) return;
  Window& window = windows_[ref.window];
  for (Offset next = entry(ref).next_in_lane; next.value >= 0; next = window.at(next).next_in_lane)
    if (window.at(next).state == EntryState::Waiting && window.failure(next) == nullptr) let_go(window.at(next));
}

void Engine::fetched(PartitionId partition, Offset wanted, const ReadChunk& chunk, const Now& now, Outputs& out) {
  const std::uint32_t w = index_of(partition);
  Window& window = windows_[w];
  for (const auto& record : chunk.batch->records) {
    if (!window.holds(record.offset)) continue;
    Entry& held = window.at(record.offset);
    const bool needed = held.state == EntryState::Waiting && held.record == nullptr;
    const bool affordable = held_bytes() < settings_.limits.window_bytes / 2;
    if (!needed || (!affordable && record.offset != wanted)) continue;
    hold(held, &record, chunk.batch);
    if (!affordable) hold_alone({w, record.offset});
  }
  if (window.holds(wanted) && window.at(wanted).state == EntryState::Waiting) {
    if (window.at(wanted).record != nullptr) {
      make_ready({w, wanted}, now, true);
    } else if (wanted < chunk.log_start || wanted < chunk.next_offset) {
      // ExpireGone: unfinished, not in flight, and its bytes are neither in the log nor in memory nor in the journal.
      finish_entry({w, wanted}, wanted < chunk.log_start ? FinalState::Expired : FinalState::Absent, now);
    } else {
      broken_ = true;
      out.broken = Error{ErrorCode::Corruption, fmt::format("Topic '{}' ends before offset {} of partition {}, which "
                                                            "was read from it. Was the topic's data replaced?",
                                                            settings_.topic, wanted, partition)};
    }
  }
  pump(now, out);
}

std::optional<Offset> Engine::wants_read(PartitionId partition) const {
  const Window& window = windows_[index_of(partition)];
  const bool full = window.size() >= settings_.limits.window_offsets || held_bytes() >= settings_.limits.window_bytes;
  if (full || broken_) return std::nullopt;
  return window.next_read();
}

// ---- instances ----

Engine::Slot* Engine::slot(InstanceId instance) {
  for (auto& candidate : slots_)
    if (candidate.id == instance) return &candidate;
  return nullptr;
}

void Engine::instance_ready(InstanceId instance, Version version, const Now& now, Outputs& out) {
  CHECK(slot(instance) == nullptr);
  slots_.push_back({instance, version});
  pump(now, out);
}

void Engine::instance_ended(InstanceId instance, const Now& now, Outputs& out) {
  for (auto it = in_flight_.begin(); it != in_flight_.end();) {
    if (it->second.instance == instance) {
      given_back_.push_back(it->second.ref);
      --windows_[it->second.ref.window].in_flight;
      in_flight_.erase(it++);
    } else {
      ++it;
    }
  }
  give_back(now);
  std::erase_if(slots_, [&](const Slot& candidate) { return candidate.id == instance; });
  std::erase_if(older_versions_, [&](const StepNames& older) {
    return std::none_of(slots_.begin(), slots_.end(), [&](const Slot& s) { return s.version == older.version; });
  });
  pump(now, out);
}

// What was not begun goes back to the front of its queue, in the order in which it was there.
void Engine::give_back(const Now& now) {
  std::sort(given_back_.begin(), given_back_.end(),
            [](const Ref& a, const Ref& b) { return std::pair(a.window, a.offset) > std::pair(b.window, b.offset); });
  for (const auto& ref : given_back_) {
    entry(ref).state = EntryState::Waiting;
    if (entry(ref).lane == 0 || windows_[ref.window].is_lane_head(ref.offset)) make_ready(ref, now, true);
  }
  given_back_.clear();
}

void Engine::switch_version(VersionSettings settings, const Now& now, Outputs& out) {
  older_versions_.push_back({settings_.current.version, std::move(settings_.current.step_names)});
  settings_.current = std::move(settings);
  // ChainCut: what has not begun on the old version is taken back, and dispatched anew only after `not_started`.
  for (const auto& candidate : slots_)
    if (candidate.version != settings_.current.version && candidate.outstanding > 0)
      out.recalls.push_back(candidate.id);
  pump(now, out);
}

void Engine::set_paused(bool paused, const Now& now, Outputs& out) {
  paused_ = paused;
  pump(now, out);
}

void Engine::tick(const Now& now, Outputs& out) {
  pump(now, out);
}

// ---- queries ----

std::optional<Instant> Engine::wake_at() const {
  if (broken_) return std::nullopt;
  std::optional<Instant> at = resend_at_;
  if (!retries_.empty() && !paused_ && (!at || retries_.top().at < *at)) at = retries_.top().at;
  return at;
}

Demand Engine::demand() const {
  Demand demand;
  demand.in_flight = static_cast<std::int64_t>(in_flight_.size());
  if (service_time_ > Duration::zero()) demand.service_time = service_time_;
  if (paused_ || broken_) return demand;
  demand.runnable = static_cast<std::int64_t>(ready_.size() + ready_retries_.size());
  demand.retrying = static_cast<std::int64_t>(retries_.size());
  for (const auto& window : windows_) demand.blocked += window.unfinished;
  demand.blocked = std::max<std::int64_t>(demand.blocked - demand.runnable - demand.in_flight - demand.retrying, 0);
  return demand;
}

std::vector<PartitionId> Engine::partitions() const {
  std::vector<PartitionId> ids;
  for (const auto& window : windows_) ids.push_back(window.id());
  return ids;
}

PartitionView Engine::view(PartitionId partition) const {
  const std::uint32_t w = index_of(partition);
  const Window& window = windows_[w];
  PartitionView view{partition, window.base(), window.next_read()};
  view.window_full = window.size() >= settings_.limits.window_offsets;
  view.in_flight = window.in_flight;
  view.retrying = window.failing;
  for (const auto& [delivery, flight] : in_flight_)
    if (flight.ref.window == w && window.failure(flight.ref.offset) != nullptr) --view.retrying;
  view.waiting = std::max<std::int64_t>(window.unfinished - view.in_flight - view.retrying, 0);
  return view;
}

std::int64_t Engine::in_flight_bound() const {
  const auto per_instance = static_cast<std::int64_t>(settings_.limits.frame_events) * 2;
  return per_instance * std::max(settings_.current.max_instances, 1);
}

bool Engine::drained() const {
  return in_flight_.empty() && pending_.empty() && !under_way_;
}

std::optional<std::size_t> Engine::outstanding(InstanceId instance) const {
  for (const auto& candidate : slots_)
    if (candidate.id == instance) return candidate.outstanding;
  return std::nullopt;
}

}  // namespace dhub::delivery
