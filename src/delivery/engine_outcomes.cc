// SPDX-License-Identifier: Apache-2.0
// The part of the engine that decides what an outcome means.
#include <algorithm>
#include <fmt/format.h>
#include <limits>

#include "base/check.h"
#include "delivery/backoff.h"
#include "delivery/engine.h"
#include "delivery/headers.h"
#include "model/topic.h"

namespace dhub::delivery {
namespace {

constexpr std::size_t kErrorBytes = 4096;
constexpr std::size_t kKeyBytes = 256;
constexpr Duration kLongestRetryAfter = std::chrono::hours(24 * 30);

// Never in the middle of a character.
std::string cut(std::string_view text, std::size_t bytes) {
  if (text.size() <= bytes) return std::string(text);
  const auto continues = [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; };
  std::size_t end = bytes;
  while (end > 0 && bytes - end < 3 && continues(text[end])) --end;
  return std::string(text.substr(0, end));
}

std::size_t size_of(const Message& message) {
  std::size_t bytes = (message.key ? message.key->size() : 0) + (message.value ? message.value->size() : 0);
  for (const auto& header : message.headers) bytes += header.name.size() + (header.value ? header.value->size() : 0);
  return bytes;
}

bool has_long_header_name(const Message& message) {
  constexpr std::size_t kMost = std::numeric_limits<std::uint16_t>::max();  // as headers are encoded
  return std::any_of(message.headers.begin(), message.headers.end(),
                     [](const Header& header) { return header.name.size() > kMost; });
}

void set_headers(std::vector<Header>& headers, std::uint16_t hops, std::string origin) {
  std::erase_if(headers, [](const Header& h) {
    return h.name == kHopsHeader || h.name == kOriginHeader || h.name == kErrorHeader;
  });
  headers.reserve(headers.size() + 3);
  headers.push_back({kHopsHeader, std::to_string(hops + 1)});
  headers.push_back({kOriginHeader, std::move(origin)});
}

bool is_charged(OutcomeKind kind) {
  return kind == OutcomeKind::Failed || kind == OutcomeKind::Crashed || kind == OutcomeKind::TimedOut ||
         kind == OutcomeKind::OutOfMemory || kind == OutcomeKind::Rejected;
}

bool is_death(OutcomeKind kind) {
  return kind == OutcomeKind::Crashed || kind == OutcomeKind::TimedOut || kind == OutcomeKind::OutOfMemory;
}

}  // namespace

void Engine::outcomes(InstanceId instance, std::vector<Outcome> outcomes, const Now& now, Outputs& out) {
  Slot* from = slot(instance);
  for (auto& outcome : outcomes) {
    const auto found = in_flight_.find(outcome.delivery.value);
    // An unknown number is an old story: the delivery was given to somebody else since.
    if (found == in_flight_.end() || found->second.instance != instance) continue;
    const Flight flight = found->second;
    in_flight_.erase(found);
    --windows_[flight.ref.window].in_flight;
    if (from != nullptr) {
      --from->outstanding;
      from->dead = from->dead || is_death(outcome.kind);
    }
    if (outcome.kind == OutcomeKind::NotStarted) {
      given_back_.push_back(flight.ref);
    } else {
      settle(flight, std::move(outcome), now, out);
    }
  }
  give_back(now);
  pump(now, out);
}

void Engine::settle(const Flight& flight, Outcome outcome, const Now& now, Outputs& out) {
  Entry& settled = entry(flight.ref);
  CHECK(settled.state == EntryState::InFlight);
  settled.state = EntryState::Waiting;
  const std::uint16_t hops = hops_of(settled.record->headers);
  if (auto refusal = refuse_publications(outcome, hops)) {
    outcome.kind = OutcomeKind::Rejected;
    outcome.error = std::move(*refusal);
  }
  if (outcome.kind == OutcomeKind::Succeeded || outcome.kind == OutcomeKind::Filtered) {
    const Duration took = std::chrono::microseconds(std::max<std::uint32_t>(outcome.duration_us, 1));
    service_time_ = service_time_ == Duration::zero() ? took : service_time_ + (took - service_time_) / 8;
  }
  tell(flight, outcome, now, out);
  if (is_charged(outcome.kind)) {
    fail_attempt(flight, outcome, now);
  } else {
    succeed(flight, outcome, now);
  }
}

void Engine::succeed(const Flight& flight, Outcome& outcome, const Now& now) {
  const bool filtered = outcome.kind == OutcomeKind::Filtered;
  // A filtered run publishes nothing.
  if (!filtered) take_publications(flight.ref, outcome);
  finish_entry(flight.ref, filtered ? FinalState::Filtered : FinalState::Succeeded, now);
}

// The event has its final outcome: its key goes on at once, the journal hears of it with the next commit.
void Engine::finish_entry(const Ref& ref, FinalState state, const Now& now) {
  Entry& finished = entry(ref);
  finished.state = EntryState::Done;
  finished.final_state = state;
  let_go(finished);
  --windows_[ref.window].unfinished;
  ++unstored_;
  pending_.marks.push_back({ref, state});
  if (state == FinalState::Succeeded) ++tally_.succeeded;
  if (state == FinalState::Filtered) ++tally_.filtered;
  if (state == FinalState::Expired) ++tally_.expired;
  if (state == FinalState::Absent) ++tally_.absent;
  if (finished.lane == 0) return;
  if (const auto head = windows_[ref.window].advance_lane(finished.lane)) {
    if (windows_[ref.window].at(*head).state == EntryState::Waiting) make_ready({ref.window, *head}, now, false);
  }
}

// StoreBeforeRetry: a failure is stored before its retry may start; until then, and until its end, it holds its key.
void Engine::fail_attempt(const Flight& flight, Outcome& outcome, const Now& now) {
  Window& window = windows_[flight.ref.window];
  Failure& failure = window.make_failure(flight.ref.offset);
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
  failure_bytes_ += window.recount(flight.ref.offset);
  const bool last = failure.charged >= settings_.current.retry.max_attempts || outcome.kind == OutcomeKind::Rejected;
  if (last) {
    bury(flight.ref, flight.version, outcome, failure.charged, now);
    return;
  }
  const Duration delay = outcome.retry_after ? std::clamp(*outcome.retry_after, Duration::zero(), kLongestRetryAfter)
                                             : retry_delay(settings_.current.retry, failure.charged, random_);
  failure.retry_at = now.mono + delay;
  failure.retry_at_wall = WallTime{now.wall.ms + std::chrono::duration_cast<milliseconds>(delay).count()};
  entry(flight.ref).state = EntryState::Failing;
  ++unstored_;
  auto message = to_message(*entry(flight.ref).record);
  CHECK(message.has_value());
  // KeepBytes: the failure stores the event itself, so that retention cannot take it.
  pending_.commit.failures.push_back({window.id(), flight.ref.offset, failure.charged, failure.retry_at_wall,
                                      failure.step, failure.kind, failure.version, failure.results, failure.first_error,
                                      failure.last_error, std::move(*message)});
  pending_.failing.push_back(flight.ref);
  hold_alone(flight.ref);
  let_go_of_lane_behind(flight.ref);
}

void Engine::bury(const Ref& ref, Version version, Outcome& outcome, std::int32_t attempts, const Now& now) {
  Entry& dying = entry(ref);
  auto message = to_message(*dying.record);
  CHECK(message.has_value());
  const Failure* failure = windows_[ref.window].failure(ref.offset);
  DeadLetter letter;
  letter.position = position_;
  letter.run = run_id(ref);
  letter.topic = settings_.topic;
  letter.message = std::move(*message);
  letter.attempts = attempts;
  letter.reason = outcome.kind;
  letter.version = version;
  letter.step = step_name(version, outcome.step);
  letter.first_error = failure->first_error;
  letter.last_error = failure->last_error;
  letter.trace = std::move(outcome.trace);
  letter.created_at = now.wall;
  copy_to_topic(ref, letter, hops_of(dying.record->headers));
  pending_.commit.dead_letters.push_back(std::move(letter));
  dying.state = EntryState::Dying;
  dying.final_state = FinalState::DeadLettered;
  pending_.marks.push_back({ref, FinalState::DeadLettered});
  ++unstored_;
}

// A copy of a copy counts as a hop, so that a trigger on its own dead letter topic does not go round for ever.
void Engine::copy_to_topic(const Ref& ref, const DeadLetter& letter, std::uint16_t hops) {
  if (!settings_.current.dead_letter_topic || hops >= settings_.limits.hops) return;
  Publication copy{*settings_.current.dead_letter_topic, letter.message};
  copy.message.timestamp = letter.created_at;
  set_headers(copy.message.headers, hops,
              fmt::format("{}/{}/{}/dead", settings_.topic, windows_[ref.window].id(), ref.offset));
  copy.message.headers.push_back({kErrorHeader, letter.last_error});
  pending_.commit.publications.push_back(std::move(copy));
}

// Why what the run published cannot go out; none when it can. Final, since a repeat would publish the same.
std::optional<std::string> Engine::refuse_publications(const Outcome& outcome, std::uint16_t hops) const {
  if (outcome.kind != OutcomeKind::Succeeded || outcome.publications.empty()) return std::nullopt;
  if (hops >= settings_.limits.hops)
    return fmt::format(
        "The event has come through {} triggers; a chain is cut here so that it cannot go round for ever.", hops);
  for (const auto& publication : outcome.publications) {
    if (!parse_topic_name(publication.topic))
      return fmt::format("A step published to '{}', which is no topic name.", cut(publication.topic, 64));
    if (size_of(publication.message) > settings_.limits.message_bytes)
      return fmt::format("A step published more than {} bytes in one message to '{}'.", settings_.limits.message_bytes,
                         publication.topic);
    if (has_long_header_name(publication.message))
      return fmt::format("A step published a message to '{}' with a header name of more than 65535 bytes.",
                         publication.topic);
  }
  return std::nullopt;
}

void Engine::take_publications(const Ref& ref, Outcome& outcome) {
  const std::string_view headers = entry(ref).record->headers;
  const std::uint16_t hops = hops_of(headers);
  std::size_t n = 0;
  for (auto& publication : outcome.publications) {
    pass_trace_on(headers, publication.message.headers);
    set_headers(publication.message.headers, hops,
                fmt::format("{}/{}/{}/{}", settings_.topic, windows_[ref.window].id(), ref.offset, n++));
    pending_.commit.publications.push_back(std::move(publication));
  }
}

bool Engine::affords_details(OutcomeKind kind, const Now& now) {
  if (is_charged(kind)) return true;
  const auto most = static_cast<double>(settings_.limits.details_per_second);
  const std::chrono::duration<double> since = now.mono - details_refilled_;
  details_left_ = std::min(most, details_left_ + since.count() * most);
  details_refilled_ = now.mono;
  if (details_left_ < 1) return false;
  details_left_ -= 1;
  return true;
}

// Run details: of every failure, and of as many other runs as the budget allows.
void Engine::tell(const Flight& flight, const Outcome& outcome, const Now& now, Outputs& out) {
  if (!affords_details(outcome.kind, now)) return;
  const auto& record = *entry(flight.ref).record;
  const std::int64_t took_ms = outcome.duration_us / 1000;
  AttemptDetail detail;
  detail.position = position_;
  detail.run = run_id(flight.ref);
  detail.attempt = charged(flight.ref) + 1;
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

std::int32_t Engine::charged(const Ref& ref) const {
  const Failure* failure = windows_[ref.window].failure(ref.offset);
  return failure == nullptr ? 0 : failure->charged;
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
  return {pass_, windows_[ref.window].id(), ref.offset};
}

}  // namespace dhub::delivery
