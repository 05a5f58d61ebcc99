// SPDX-License-Identifier: Apache-2.0
// Inputs, and the decision what goes to which instance.
#include "delivery/engine.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "base/check.h"
#include "delivery/headers.h"

namespace dhub::delivery {
namespace {

constexpr std::int64_t kFarLonger = 4;           // than the mean: no estimate for the others
constexpr std::int64_t kMostUnstored = 1 << 16;  // of a pipeline without steps

std::vector<StoredFailure> failures_of(std::vector<StoredFailure>& all, PartitionId partition) {
  std::vector<StoredFailure> own;
  for (auto& row : all)
    if (row.partition == partition) own.push_back(std::move(row));
  return own;
}

std::vector<FinishedRange> ranges_of(std::vector<FinishedRange> singles) {
  const auto before = [](const FinishedRange& a, const FinishedRange& b) {
    return std::pair(a.partition, a.first) < std::pair(b.partition, b.first);
  };
  if (!std::is_sorted(singles.begin(), singles.end(), before)) std::sort(singles.begin(), singles.end(), before);
  std::vector<FinishedRange> ranges;
  for (const auto& single : singles) {
    const bool joins = !ranges.empty() && ranges.back().partition == single.partition &&
                       ranges.back().state == single.state &&
                       ranges.back().first.value + ranges.back().count == single.first.value;
    if (joins) {
      ++ranges.back().count;
    } else {
      ranges.push_back(single);
    }
  }
  return ranges;
}

}  // namespace

Engine::Engine(EngineSettings settings, LoadedPosition loaded, const Now& now)
    : settings_(std::move(settings)),
      backlog_(settings_.limits, settings_.ordering),
      committer_(loaded.position, loaded.owner_epoch, loaded.pass),
      details_(settings_.limits.details_per_second, now.mono),
      random_(settings_.seed) {
  std::sort(loaded.partitions.begin(), loaded.partitions.end(),
            [](const auto& a, const auto& b) { return a.partition < b.partition; });
  for (const auto& partition : loaded.partitions)
    backlog_.add(partition, failures_of(loaded.failures, partition.partition), now);
}

void Engine::add_partition(const LoadedPartition& partition, const Now& now) {
  backlog_.add(partition, {}, now);
}

// ---- reading ----

void Engine::records(PartitionId partition, const ReadChunk& chunk, const Now& now, Outputs& out) {
  backlog_.take(backlog_.index_of(partition).value(), chunk, arrivals_);
  settle_arrivals(now);
  pump(now, out);
}

void Engine::records_again(PartitionId partition, const ReadChunk& chunk, const Now& now, Outputs& out) {
  backlog_.take_again(backlog_.index_of(partition).value(), chunk, arrivals_);
  if (arrivals_.end_too_low) {
    broken_ = true;
    out.broken = Error{ErrorCode::Corruption, fmt::format("Topic '{}' ends before offset {} of partition {}, which "
                                                          "was read from it. Was the topic's data replaced?",
                                                          settings_.topic, *arrivals_.end_too_low, partition)};
  }
  settle_arrivals(now);
  pump(now, out);
}

void Engine::settle_arrivals(const Now& now) {
  for (const auto& gone : arrivals_.gone) finish_entry(gone.ref, gone.state, now);
  for (const auto& ref : arrivals_.turns) make_ready(ref, now, false);
  arrivals_.clear();
}

std::optional<Offset> Engine::wants_read(PartitionId partition) const {
  return broken_ ? std::nullopt : backlog_.wants_read(backlog_.index_of(partition).value());
}

std::optional<Offset> Engine::wants_again(PartitionId partition) const {
  return broken_ ? std::nullopt : backlog_.wants_again(backlog_.index_of(partition).value());
}

std::vector<PartitionId> Engine::lacking() const {
  std::vector<PartitionId> partitions;
  if (!wants_again()) return partitions;
  for (const std::uint32_t w : backlog_.lacking()) partitions.push_back(backlog_.window(w).id());
  return partitions;
}

void Engine::set_wanted(std::int32_t instances) {
  wanted_ = std::max(instances, 1);
  set_appetite();
}

// Without steps there are no frames: what is read is finished at once.
void Engine::set_appetite() {
  if (settings_.current.step_names.empty())
    backlog_.set_appetite({kMostUnstored / 4, 1, false});
  else
    backlog_.set_appetite(
        {static_cast<std::int64_t>(frame_target()), std::max(wanted_, 1), wanted_ < settings_.current.max_instances});
}

// ---- instances ----

void Engine::instance_ready(InstanceId instance, Version version, const Now& now, Outputs& out) {
  CHECK(flights_.slot(instance) == nullptr);
  flights_.slots().push_back({instance, version});
  watch_at_ = now.mono;  // it could take what stands behind something long
  pump(now, out);
}

void Engine::instance_ended(InstanceId instance, const Now& now, Outputs& out) {
  for (const auto& flight : flights_.land_all(instance)) {
    backlog_.land(flight.ref);
    given_back_.push_back(flight.ref);
  }
  give_back(now);
  auto& slots = flights_.slots();
  std::erase_if(slots, [&](const Slot& candidate) { return candidate.id == instance; });
  std::erase_if(older_versions_, [&](const StepNames& older) {
    return std::none_of(slots.begin(), slots.end(), [&](const Slot& s) { return s.version == older.version; });
  });
  pump(now, out);
}

void Engine::instance_leaving(InstanceId instance) {
  if (Slot* slot = flights_.slot(instance)) slot->is_leaving = true;
}

// What was not begun goes back to the front of its queue, in the order in which it was there.
void Engine::give_back(const Now& now) {
  std::sort(given_back_.begin(), given_back_.end(),
            [](const Ref& a, const Ref& b) { return std::pair(a.window, a.offset) > std::pair(b.window, b.offset); });
  for (const auto& ref : given_back_) {
    backlog_.give_back(ref);
    if (backlog_.is_first(ref)) make_ready(ref, now, true);
  }
  given_back_.clear();
}

void Engine::switch_version(VersionSettings settings, const Now& now, Outputs& out) {
  older_versions_.push_back({settings_.current.version, std::move(settings_.current.step_names)});
  settings_.current = std::move(settings);
  // ChainCut: what has not begun on the old version is taken back, and dispatched anew only after `not_started`.
  for (const auto& candidate : flights_.slots())
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

// ---- dispatch ----

void Engine::pump(const Now& now, Outputs& out) {
  if (broken_) return;
  while (const auto due = queues_.take_due(now.mono)) {
    const bool waits =
        backlog_.window(due->window).holds(due->offset) && backlog_.entry(*due).state == EntryState::Waiting;
    if (waits) make_ready(*due, now, false);
  }
  watch_long(now, out);
  if (!paused_) {
    if (settings_.current.step_names.empty()) {
      finish_without_instances(now);
    } else {
      fill_idle_then_busy(now, out, true);
      fill_idle_then_busy(now, out, false);
    }
  }
  set_appetite();
  emit_commit(now, out);
  backlog_.share_bytes();
}

// The event's turn has come as far as its key is concerned: queue it, or let it wait for its retry time. Without its
// bytes it stays where it is: the second reading brings them (LetGo).
void Engine::make_ready(const Ref& ref, const Now& now, bool front) {
  const Failure* failure = backlog_.failure(ref);
  if (failure != nullptr && failure->retry_at > now.mono) {
    queues_.push_later(ref, failure->retry_at);
  } else if (backlog_.entry(ref).record != nullptr) {
    queues_.push(ref, failure != nullptr, front);
  }
}

// What was begun and is not stored stays within the bound that status reports.
bool Engine::has_room() const {
  return flights_.size() + committer_.unstored() < in_flight_bound();
}

// At the bound of failing rows none may start, unless what waits for a retry stands behind events that have not begun:
// so it may be after a change of the ordering. They must go, though more may come to wait then.
bool Engine::may_take_first_attempts() const {
  if (backlog_.failing() < settings_.limits.failing_rows) return true;
  return flights_.size() == 0 && committer_.unstored() == 0 && queues_.retries_empty() && queues_.later() == 0;
}

void Engine::finish_without_instances(const Now& now) {
  Ref ref;
  while (committer_.unstored() < kMostUnstored && take_ready(ref)) finish_entry(ref, FinalState::Succeeded, now);
}

// RecallClaim: an instance that runs one event for long holds up what was sent along with it. It gets nothing more, the
// keys of what it has make room, and what it has not begun is taken back as soon as another could take it: it is
// dispatched anew only after `not_started`.
void Engine::watch_long(const Now& now, Outputs& out) {
  if (!watch_at_ || *watch_at_ > now.mono) return;
  watch_at_.reset();
  const auto could_take = [&](const Slot& slot) {
    return !slot.is_dead && !slot.is_long && !slot.is_leaving && slot.version == settings_.current.version;
  };
  for (auto& slot : flights_.slots()) {
    if (slot.outstanding == 0 || slot.is_long) continue;
    const Instant due = slot.progress + settings_.limits.long_event;
    if (due > now.mono) {
      watch_at_ = watch_at_ ? std::min(*watch_at_, due) : due;
      continue;
    }
    slot.is_long = true;
    slot.is_held_up = now.mono - slot.progress > kFarLonger * service_time_;
    flights_.for_each_at(slot.id, [&](const Flight& flight) { backlog_.park(flight.ref); });
  }
  const auto& slots = flights_.slots();
  if (paused_ || std::none_of(slots.begin(), slots.end(), could_take)) return;
  const auto at_once = static_cast<std::size_t>(std::max(settings_.current.concurrency, 1));
  for (auto& slot : flights_.slots()) {
    if (!slot.is_long || slot.recalled || slot.outstanding <= at_once) continue;
    slot.recalled = true;
    out.recalls.push_back(slot.id);
  }
}

// Idle instances share what is ready evenly; then, if there is more, the busy ones get a frame ahead, so that no
// instance waits for the round trip.
void Engine::fill_idle_then_busy(const Now& now, Outputs& out, bool idle) {
  const std::size_t target = frame_target();
  std::size_t candidates = 0;
  const auto takes_part = [&](const Slot& candidate) {
    if (candidate.is_dead || candidate.is_long || candidate.is_leaving) return false;
    if (candidate.version != settings_.current.version) return false;
    return idle ? candidate.outstanding == 0 : candidate.outstanding > 0 && candidate.outstanding < target;
  };
  for (const auto& candidate : flights_.slots()) candidates += takes_part(candidate) ? 1 : 0;
  for (auto& candidate : flights_.slots()) {
    const std::size_t waiting = queues_.ready();
    if (waiting == 0 || candidates == 0 || !has_room()) return;
    if (!takes_part(candidate)) continue;
    // Keyed followers ride along beyond their share: they could run nowhere else.
    fill(candidate, std::min(target, (waiting + candidates - 1) / candidates), now, out);
    --candidates;
  }
}

bool Engine::take_ready(Ref& ref) {
  const bool first_attempts = may_take_first_attempts();
  for (auto* queue : {&queues_.retries(), &queues_.first()}) {
    if (queue == &queues_.first() && !first_attempts) return false;
    while (!queue->empty()) {
      ref = queue->front();
      if (backlog_.may_start(ref)) {
        if (!settings_.current.step_names.empty() && !backlog_.reserve(ref)) return false;  // after the next commit
        queue->pop_front();
        return true;
      }
      queue->pop_front();
    }
  }
  return false;
}

// `most` counts keys (and events without one): followers come on top, up to a full frame.
void Engine::fill(Slot& slot, std::size_t most, const Now& now, Outputs& out) {
  Ref ref;
  Dispatch* dispatch = nullptr;
  std::size_t bytes = 0;
  const std::size_t target = frame_target();
  for (std::size_t taken = 0; taken < most && bytes < settings_.limits.frame_bytes && has_room(); ++taken) {
    if (dispatch != nullptr && dispatch->frame.size() >= target) break;
    if (!take_ready(ref)) break;
    if (dispatch == nullptr) dispatch = &out.next_dispatch(slot.id);
    bytes += backlog_.entry(ref).record->bytes();
    const bool keyed = backlog_.entry(ref).lane != Lanes::kNone;
    if (keyed && ++chain_ == 0) chain_ = 1;
    put(ref, keyed ? chain_ : std::uint16_t{0}, slot, now, *dispatch);
    if (keyed && settings_.current.concurrency == 1) bytes += ride_along(ref, bytes, slot, now, *dispatch);
  }
}

// The events right behind `head` in its key go in the same frame: the instance runs them in order, and answers
// not_started for the rest after a failure. Answers how many bytes they are.
std::size_t Engine::ride_along(const Ref& head, std::size_t used, Slot& slot, const Now& now, Dispatch& dispatch) {
  const std::size_t target = frame_target();
  const std::uint16_t chain = dispatch.frame.back().chain;
  std::size_t bytes = 0;
  for (Ref next = backlog_.entry(head).next(); !next.none(); next = backlog_.entry(next).next()) {
    if (dispatch.frame.size() >= target || used + bytes >= settings_.limits.frame_bytes || !has_room()) break;
    const Entry& candidate = backlog_.entry(next);
    const bool plain =
        candidate.state == EntryState::Waiting && candidate.record != nullptr && backlog_.failure(next) == nullptr;
    if (!plain || !backlog_.reserve(next)) break;
    bytes += candidate.record->bytes();
    put(next, chain, slot, now, dispatch);
  }
  return bytes;
}

void Engine::put(const Ref& ref, std::uint16_t chain, Slot& slot, const Now& now, Dispatch& dispatch) {
  const DeliveryId id = make_delivery_id(committer_.epoch(), ++deliveries_);
  backlog_.begin(ref);
  flights_.depart(id, ref, slot, now);
  if (!watch_at_) watch_at_ = now.mono + settings_.limits.long_event;
  const RecordView& record = *backlog_.entry(ref).record;
  Delivery& delivery = dispatch.frame.emplace_back();
  delivery.id = id;
  delivery.run = run_id(ref);
  delivery.chain = chain;
  delivery.hops = hops_of(record.headers);
  delivery.topic = settings_.topic;
  delivery.record = record;
  if (const Failure* failure = backlog_.failure(ref)) {
    delivery.attempt = failure->charged + 1;
    // Results of finished steps count only for the version that made them.
    if (failure->version == slot.version && !settings_.current.retry.from_start) {
      delivery.step = failure->step;
      delivery.results = failure->results;
    }
  }
}

std::size_t Engine::frame_target() const {
  const Duration each = service_time_ > Duration::zero() ? service_time_ : milliseconds(10);
  const auto fitting = static_cast<std::size_t>(settings_.limits.frame_work / std::max(each, Duration{1}));
  const auto least = static_cast<std::size_t>(std::max(settings_.current.concurrency, 1));
  return std::clamp(fitting, least, std::max(least, settings_.limits.frame_events));
}

// ---- the journal ----

void Engine::emit_commit(const Now& now, Outputs& out) {
  if (committer_.is_under_way()) {
    if (auto again = committer_.take_resend(now)) out.commit = std::move(again);
    return;
  }
  const bool has_steps = !settings_.current.step_names.empty();
  if (!committer_.has_pending() && !(has_steps && backlog_.wants_reservation())) return;
  out.commit = committer_.close(now, [&](Committer::Bundle& bundle) {
    std::vector<FinishedRange> singles;
    singles.reserve(bundle.marks.size());
    for (const auto& mark : bundle.marks) {
      backlog_.entry(mark.ref).in_commit = true;
      singles.push_back({backlog_.window(mark.ref.window).id(), mark.ref.offset, 1, mark.state});
    }
    bundle.commit.finished = ranges_of(std::move(singles));
    bundle.commit.partitions = backlog_.take_changes(has_steps);
  });
}

void Engine::commit_answered(CommitSeq seq, const Result<CommitAnswer>& answer, const Now& now, Outputs& out) {
  switch (committer_.answered(seq, answer, now)) {
    case Committer::Verdict::Stored:
      settle_stored(now);
      pump(now, out);
      return;
    case Committer::Verdict::Refused:
      // FenceOn: somebody else owns the position now. Anything else means that journal and engine disagree: stop too.
      broken_ = true;
      out.broken = answer.error();
      return;
    case Committer::Verdict::SendAgain:
    case Committer::Verdict::Unknown:
      return;
  }
}

void Engine::settle_stored(const Now& now) {
  const auto stored = committer_.take_stored();
  for (const auto& partition : stored.commit->partitions)
    backlog_.window(backlog_.index_of(partition.partition).value()).dispatched_through =
        partition.dispatched_through.value;
  for (const auto& ref : stored.failing) {
    backlog_.entry(ref).state = EntryState::Waiting;
    make_ready(ref, now, false);
  }
  for (const auto& mark : stored.marks) {
    const bool dying = backlog_.entry(mark.ref).state == EntryState::Dying;
    backlog_.store(mark.ref);
    if (!dying) continue;
    ++tally_.dead_lettered;
    if (const auto head = backlog_.advance(mark.ref)) make_ready(*head, now, false);
  }
  for (const auto& partition : stored.commit->partitions)
    backlog_.window(backlog_.index_of(partition.partition).value()).drop_final();
}

// ---- queries ----

std::optional<Instant> Engine::wake_at() const {
  if (broken_) return std::nullopt;
  std::optional<Instant> at = committer_.resend_at();
  const auto sooner = [&](const std::optional<Instant>& other) {
    if (other && (!at || *other < *at)) at = other;
  };
  if (!paused_) sooner(queues_.next_due());
  if (flights_.size() > 0) sooner(watch_at_);
  return at;
}

Demand Engine::demand() const {
  Demand demand;
  demand.in_flight = flights_.size();
  if (service_time_ > Duration::zero()) demand.service_time = service_time_;
  if (paused_ || broken_) return demand;
  demand.runnable = static_cast<std::int64_t>(queues_.ready());
  const std::int64_t at_once = std::max(settings_.current.concurrency, 1);
  for (const auto& slot : flights_.slots()) {
    if (!slot.is_held_up) continue;
    ++demand.held_up;
    // What is behind it would be taken back for another instance.
    demand.runnable += std::max<std::int64_t>(static_cast<std::int64_t>(slot.outstanding) - at_once, 0);
  }
  demand.retrying = static_cast<std::int64_t>(queues_.later());
  demand.blocked =
      std::max<std::int64_t>(backlog_.unfinished() - demand.runnable - demand.in_flight - demand.retrying, 0);
  return demand;
}

std::vector<PartitionId> Engine::partitions() const {
  std::vector<PartitionId> ids;
  for (std::uint32_t w = 0; w < backlog_.size(); ++w) ids.push_back(backlog_.window(w).id());
  return ids;
}

PartitionView Engine::view(PartitionId partition) const {
  const Window& window = backlog_.window(backlog_.index_of(partition).value());
  PartitionView view{partition, window.base(), window.next_read()};
  view.window_full =
      window.size() >= settings_.limits.window_offsets || (backlog_.is_full_of_bytes() && window.unfinished > 0);
  view.in_flight = window.in_flight;
  view.retrying = window.failing - window.retries_in_flight;
  view.waiting = std::max<std::int64_t>(window.unfinished - view.in_flight - view.retrying, 0);
  return view;
}

std::int64_t Engine::in_flight_bound() const {
  const auto per_instance = static_cast<std::int64_t>(settings_.limits.frame_events) * 2;
  return per_instance * std::max(settings_.current.max_instances, 1);
}

bool Engine::drained() const {
  return flights_.size() == 0 && !committer_.has_pending() && !committer_.is_under_way();
}

std::optional<std::size_t> Engine::outstanding(InstanceId instance) const {
  const Slot* slot = flights_.slot(instance);
  return slot == nullptr ? std::nullopt : std::optional(slot->outstanding);
}

}  // namespace dhub::delivery
