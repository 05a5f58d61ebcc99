// SPDX-License-Identifier: Apache-2.0
// The part of the engine that decides what goes to which instance.
#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/check.h"
#include "delivery/engine.h"
#include "delivery/headers.h"

namespace dhub::delivery {

void Engine::pump(const Now& now, Outputs& out) {
  if (broken_) return;
  release_due_retries(now);
  std::int64_t failing = 0;
  for (const auto& window : windows_) failing += window.failing;
  first_attempts_ = failing < settings_.limits.failing_rows;
  if (!paused_) {
    if (settings_.current.step_names.empty()) {
      finish_without_instances(now);
    } else {
      dispatch(now, out);
    }
  }
  emit_commit(now, out);
  out.fetches.insert(out.fetches.end(), fetches_wanted_.begin(), fetches_wanted_.end());
  fetches_wanted_.clear();
}

// The event's turn has come as far as its key is concerned: queue it, or wait for its retry time, or get its bytes.
void Engine::make_ready(const Ref& ref, const Now& now, bool front) {
  const Failure* failure = windows_[ref.window].failure(ref.offset);
  if (failure != nullptr && failure->retry_at > now.mono) {
    retries_.push({failure->retry_at, ref});
    return;
  }
  if (entry(ref).record == nullptr) {
    fetches_wanted_.push_back({windows_[ref.window].id(), ref.offset});
    return;
  }
  auto& queue = failure != nullptr ? ready_retries_ : ready_;
  front ? queue.push_front(ref) : queue.push_back(ref);
}

void Engine::release_due_retries(const Now& now) {
  while (!retries_.empty() && retries_.top().at <= now.mono) {
    const Ref ref = retries_.top().ref;
    retries_.pop();
    if (windows_[ref.window].holds(ref.offset) && entry(ref).state == EntryState::Waiting) make_ready(ref, now, false);
  }
}

// RetryHoldsKey: only the first unfinished event of a key may start.
bool Engine::may_start(const Ref& ref) const {
  const Window& window = windows_[ref.window];
  if (!window.holds(ref.offset)) return false;
  const Entry& candidate = window.at(ref.offset);
  return candidate.state == EntryState::Waiting && candidate.record != nullptr &&
         (candidate.lane == 0 || window.is_lane_head(ref.offset));
}

// What was begun and is not stored stays within the bound that status reports.
bool Engine::has_room() const {
  return static_cast<std::int64_t>(in_flight_.size()) + unstored_ < in_flight_bound();
}

// What waits for a retry stands behind events that have not begun: so it may be after a change of the ordering. They
// must go, though more may come to wait then.
bool Engine::retries_are_held_up() const {
  return in_flight_.empty() && unstored_ == 0 && ready_retries_.empty() && retries_.empty();
}

void Engine::finish_without_instances(const Now& now) {
  constexpr std::int64_t kMostUnstored = 1 << 16;
  Ref ref;
  while (unstored_ < kMostUnstored && take_ready(ref)) finish_entry(ref, FinalState::Succeeded, now);
}

void Engine::dispatch(const Now& now, Outputs& out) {
  fill_idle_then_busy(now, out, true);
  fill_idle_then_busy(now, out, false);
}

// Idle instances share what is ready evenly; then, if there is more, the busy ones get a frame ahead, so that no
// instance waits for the round trip.
void Engine::fill_idle_then_busy(const Now& now, Outputs& out, bool idle) {
  const std::size_t target = frame_target();
  std::size_t candidates = 0;
  const auto takes_part = [&](const Slot& candidate) {
    if (candidate.dead || candidate.version != settings_.current.version) return false;
    return idle ? candidate.outstanding == 0 : candidate.outstanding > 0 && candidate.outstanding < target;
  };
  for (const auto& candidate : slots_) candidates += takes_part(candidate) ? 1 : 0;
  for (auto& candidate : slots_) {
    const std::size_t waiting = ready_.size() + ready_retries_.size();
    if (waiting == 0 || candidates == 0 || !has_room()) return;
    if (!takes_part(candidate)) continue;
    // Keyed followers ride along beyond their share: they could run nowhere else.
    fill(candidate, std::min(target, (waiting + candidates - 1) / candidates), now, out);
    --candidates;
  }
}

bool Engine::take_ready(Ref& ref) {
  for (auto* queue : {&ready_retries_, &ready_}) {
    if (queue == &ready_ && !first_attempts_ && !retries_are_held_up()) return false;
    while (!queue->empty()) {
      ref = queue->front();
      if (may_start(ref)) {
        if (!settings_.current.step_names.empty() && !reserve(ref)) return false;  // after the next commit
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
    bytes += entry(ref).record->bytes();
    const bool keyed = entry(ref).lane != 0;
    put(ref, keyed ? next_chain() : std::uint16_t{0}, slot, now, *dispatch);
    if (keyed && settings_.current.concurrency == 1) ride_along(ref, slot, target, bytes, now, *dispatch);
  }
}

// The events right behind `head` in its key go in the same frame: the instance runs them in order, and answers
// not_started for the rest after a failure.
void Engine::ride_along(const Ref& head, Slot& slot, std::size_t most, std::size_t& bytes, const Now& now,
                        Dispatch& dispatch) {
  const std::uint16_t chain = dispatch.frame.back().chain;
  Ref next{head.window, entry(head).next_in_lane};
  while (next.offset.value >= 0 && dispatch.frame.size() < most && bytes < settings_.limits.frame_bytes && has_room()) {
    const Entry& candidate = entry(next);
    const bool plain = candidate.state == EntryState::Waiting && candidate.record != nullptr &&
                       windows_[next.window].failure(next.offset) == nullptr;
    if (!plain || !reserve(next)) return;
    bytes += candidate.record->bytes();
    put(next, chain, slot, now, dispatch);
    next.offset = entry(next).next_in_lane;
  }
}

void Engine::put(const Ref& ref, std::uint16_t chain, Slot& slot, const Now& now, Dispatch& dispatch) {
  Entry& sent = entry(ref);
  sent.state = EntryState::InFlight;
  const DeliveryId id = make_delivery_id(epoch_, ++deliveries_);
  in_flight_[id.value] = {ref, slot.id, slot.version, now.mono};
  ++slot.outstanding;
  ++windows_[ref.window].in_flight;
  Delivery& delivery = dispatch.frame.emplace_back();
  delivery.id = id;
  delivery.run = run_id(ref);
  delivery.chain = chain;
  delivery.hops = hops_of(sent.record->headers);
  delivery.topic = settings_.topic;
  delivery.record = *sent.record;
  if (const Failure* failure = windows_[ref.window].failure(ref.offset)) {
    delivery.attempt = failure->charged + 1;
    // Results of finished steps count only for the version that made them.
    if (failure->version == slot.version && !settings_.current.retry.from_start) {
      delivery.step = failure->step;
      delivery.results = failure->results;
    }
  }
}

// ReserveFirst: dispatched_through is durable before dispatch passes it.
bool Engine::reserve(const Ref& ref) {
  Window& window = windows_[ref.window];
  window.frontier = std::max(window.frontier, ref.offset.value + 1);
  return ref.offset.value < window.dispatched_through;
}

std::size_t Engine::frame_target() const {
  const Duration each = service_time_ > Duration::zero() ? service_time_ : milliseconds(10);
  const auto fitting = static_cast<std::size_t>(settings_.limits.frame_work / std::max(each, Duration{1}));
  const auto least = static_cast<std::size_t>(std::max(settings_.current.concurrency, 1));
  return std::clamp(fitting, least, std::max(least, settings_.limits.frame_events));
}

std::uint16_t Engine::next_chain() {
  if (++chain_ == 0) chain_ = 1;
  return chain_;
}

}  // namespace dhub::delivery
