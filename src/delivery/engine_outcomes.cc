// SPDX-License-Identifier: Apache-2.0
// The part of the engine that decides what an outcome means.
#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "base/check.h"
#include "delivery/backoff.h"
#include "delivery/engine.h"
#include "delivery/headers.h"
#include "delivery/publications.h"

namespace dhub::delivery {
namespace {

constexpr std::size_t kErrorBytes = 4096;
constexpr std::size_t kKeyBytes = 256;
constexpr Duration kLongestRetryAfter = std::chrono::hours(24 * 30);

bool is_charged(OutcomeKind kind) {
  return kind == OutcomeKind::Failed || kind == OutcomeKind::Crashed || kind == OutcomeKind::TimedOut ||
         kind == OutcomeKind::OutOfMemory || kind == OutcomeKind::Rejected;
}

bool is_death(OutcomeKind kind) {
  return kind == OutcomeKind::Crashed || kind == OutcomeKind::TimedOut || kind == OutcomeKind::OutOfMemory;
}

}  // namespace

void Engine::outcomes(InstanceId instance, std::vector<Outcome> outcomes, const Now& now, Outputs& out) {
  Slot* from = flights_.slot(instance);
  for (auto& outcome : outcomes) {
    const auto flight = flights_.land(outcome.delivery, instance);
    if (!flight) continue;
    backlog_.land(flight->ref);
    const bool begun = outcome.kind != OutcomeKind::NotStarted;
    if (from != nullptr) {
      --from->outstanding;
      from->is_dead = from->is_dead || is_death(outcome.kind);
      if (begun) from->progress = now.mono;
      if (begun || from->outstanding == 0) Flights::release(*from);
    }
    if (begun) {
      settle(*flight, std::move(outcome), now, out);
    } else {
      given_back_.push_back(flight->ref);
    }
  }
  // One that goes on could take what stands behind something long.
  const auto& slots = flights_.slots();
  if (std::any_of(slots.begin(), slots.end(), [](const Slot& slot) { return slot.is_long; })) watch_at_ = now.mono;
  give_back(now);
  pump(now, out);
}

void Engine::settle(const Flight& flight, Outcome outcome, const Now& now, Outputs& out) {
  const std::string_view headers = backlog_.entry(flight.ref).record->headers;
  if (auto refusal = refuse_publications(outcome, hops_of(headers), settings_.limits)) {
    outcome.kind = OutcomeKind::Rejected;
    outcome.error = std::move(*refusal);
  }
  const bool succeeded = outcome.kind == OutcomeKind::Succeeded;
  const bool filtered = outcome.kind == OutcomeKind::Filtered;
  if (succeeded || filtered) {
    const Duration took = std::chrono::microseconds(std::max<std::uint32_t>(outcome.duration_us, 1));
    service_time_ = service_time_ == Duration::zero() ? took : service_time_ + (took - service_time_) / 8;
  }
  tell(flight, outcome, now, out);
  if (is_charged(outcome.kind)) return fail_attempt(flight, outcome, now);
  // A filtered run publishes nothing.
  if (!filtered && !outcome.publications.empty())
    pass_on(headers, origin(flight.ref), outcome.publications, committer_.pending().publications);
  finish_entry(flight.ref, filtered ? FinalState::Filtered : FinalState::Succeeded, now);
}

// The event has its final outcome: its key goes on at once, the journal hears of it with the next commit.
void Engine::finish_entry(const Ref& ref, FinalState state, const Now& now) {
  backlog_.finish(ref, state);
  committer_.mark(ref, state);
  if (state == FinalState::Succeeded) ++tally_.succeeded;
  if (state == FinalState::Filtered) ++tally_.filtered;
  if (state == FinalState::Expired) ++tally_.expired;
  if (state == FinalState::Absent) ++tally_.absent;
  if (const auto head = backlog_.advance(ref)) make_ready(*head, now, false);
}

// StoreBeforeRetry: a failure is stored before its retry may start; until then, and until its end, it holds its key.
void Engine::fail_attempt(const Flight& flight, Outcome& outcome, const Now& now) {
  Failure& failure = backlog_.fail(flight.ref);
  ++failure.charged;
  ++tally_.failed_attempts;
  if (failure.first_error.empty()) failure.first_error = cut(outcome.error, kErrorBytes);
  failure.last_error = cut(outcome.error, kErrorBytes);
  failure.kind = outcome.kind;
  // A death brings no results: those that the attempt began with are still good, on the version that made them.
  const bool keeps_results = outcome.results.empty() && failure.version == flight.version;
  if (!keeps_results) {
    failure.results = std::move(outcome.results);
    failure.step = failure.results.empty() ? std::uint16_t{0} : outcome.step;
  }
  failure.version = flight.version;
  const bool last = failure.charged >= settings_.current.retry.max_attempts || outcome.kind == OutcomeKind::Rejected;
  if (last) return bury(flight, outcome, failure.charged, now);
  const Duration delay = outcome.retry_after ? std::clamp(*outcome.retry_after, Duration::zero(), kLongestRetryAfter)
                                             : retry_delay(settings_.current.retry, failure.charged, random_);
  failure.retry_at = now.mono + delay;
  failure.retry_at_wall = WallTime{now.wall.ms + std::chrono::duration_cast<milliseconds>(delay).count()};
  auto message = to_message(*backlog_.entry(flight.ref).record);
  CHECK(message.has_value());
  // KeepBytes: the failure stores the event itself, so that retention cannot take it.
  committer_.mark_failing(flight.ref, {backlog_.window(flight.ref.window).id(), flight.ref.offset, failure.charged,
                                       failure.retry_at_wall, failure.step, failure.kind, failure.version,
                                       failure.results, failure.first_error, failure.last_error, std::move(*message)});
  backlog_.failed(flight.ref);
}

void Engine::bury(const Flight& flight, Outcome& outcome, std::int32_t attempts, const Now& now) {
  const RecordView& record = *backlog_.entry(flight.ref).record;
  auto message = to_message(record);
  CHECK(message.has_value());
  const Failure* failure = backlog_.failure(flight.ref);
  DeadLetter letter;
  letter.position = committer_.position();
  letter.run = run_id(flight.ref);
  letter.topic = settings_.topic;
  letter.message = std::move(*message);
  letter.attempts = attempts;
  letter.reason = outcome.kind;
  letter.version = flight.version;
  letter.step = step_name(flight.version, outcome.step);
  letter.first_error = failure->first_error;
  letter.last_error = failure->last_error;
  letter.trace = std::move(outcome.trace);
  letter.created_at = now.wall;
  const std::uint16_t hops = hops_of(record.headers);
  if (settings_.current.dead_letter_topic && hops < settings_.limits.hops)
    committer_.pending().publications.push_back(
        copy_of(letter, *settings_.current.dead_letter_topic, hops, origin(flight.ref)));
  committer_.pending().dead_letters.push_back(std::move(letter));
  backlog_.bury(flight.ref);
  committer_.mark(flight.ref, FinalState::DeadLettered);
}

// Run details: of every failure, and of as many other runs as the budget allows.
void Engine::tell(const Flight& flight, const Outcome& outcome, const Now& now, Outputs& out) {
  if (!is_charged(outcome.kind) && !details_.take(now.mono)) return;
  const auto& record = *backlog_.entry(flight.ref).record;
  const Failure* failure = backlog_.failure(flight.ref);
  const std::int64_t took_ms = outcome.duration_us / 1000;
  AttemptDetail detail;
  detail.position = committer_.position();
  detail.run = run_id(flight.ref);
  detail.attempt = (failure == nullptr ? 0 : failure->charged) + 1;
  detail.delivery = outcome.delivery;
  detail.kind = outcome.kind;
  detail.version = flight.version;
  detail.instance = flight.instance;
  detail.started_at = WallTime{now.wall.ms - took_ms};
  detail.duration_us = outcome.duration_us;
  if (outcome.kind != OutcomeKind::Succeeded) detail.step = step_name(flight.version, outcome.step);
  detail.error = outcome.error;
  detail.trace = outcome.trace;
  detail.log = outcome.log;
  if (record.key) detail.key = cut(*record.key, kKeyBytes);
  out.details.push_back(std::move(detail));
}

std::string Engine::step_name(Version version, std::uint16_t step) const {
  const auto name_in = [&](const std::vector<std::string>& names) {
    return step < names.size() ? names[step] : std::string();
  };
  if (version == settings_.current.version) return name_in(settings_.current.step_names);
  for (const auto& older : older_versions_)
    if (older.version == version) return name_in(older.names);
  return "";
}

RunId Engine::run_id(const Ref& ref) const {
  return {committer_.pass(), backlog_.window(ref.window).id(), ref.offset};
}

std::string Engine::origin(const Ref& ref) const {
  return fmt::format("{}/{}/{}", settings_.topic, backlog_.window(ref.window).id(), ref.offset);
}

}  // namespace dhub::delivery
