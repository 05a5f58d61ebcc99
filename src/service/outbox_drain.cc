// SPDX-License-Identifier: Apache-2.0
#include "service/outbox_drain.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace dhub::service {
namespace {

constexpr std::size_t kMostBytes = 4U << 20;
constexpr std::size_t kFasterBy = 4;  // after a request that went well
constexpr Duration kFirstDelay = milliseconds(100);
constexpr Duration kMostDelay = std::chrono::seconds(30);
// A cluster that is away may be back at any moment; what else refuses a message wants somebody to do something.
constexpr Duration kMostDelayAway = std::chrono::seconds(5);

Duration delay_after(int failures, ErrorCode code, Random& random) {
  const Duration most = code == ErrorCode::Unavailable ? kMostDelayAway : kMostDelay;
  const Duration delay = std::min<Duration>(kFirstDelay * (1LL << std::min(failures - 1, 20)), most);
  return std::chrono::duration_cast<Duration>(delay * (0.5 + random.unit() / 2));
}

}  // namespace

OutboxDrain::OutboxDrain(Scheduler& scheduler, Outbox& outbox, EventLog& event_log, Metrics& metrics, Logger& logger,
                         std::uint64_t seed)
    : scheduler_(scheduler),
      outbox_(outbox),
      event_log_(event_log),
      logger_(logger),
      sent_total_(metrics.counter("dhub_outbox_sent_total", "Outputs that topics of other clusters acknowledged.")),
      failures_total_(metrics.counter("dhub_outbox_failures_total",
                                      "Requests with outputs that topics of other clusters did not take; sent again.")),
      random_(seed),
      leash_(scheduler) {}

OutboxDrain::~OutboxDrain() = default;

void OutboxDrain::start() {
  // Watched first: what comes in between is found twice rather than never.
  watch_ = outbox_.watch([this](const std::string& topic) { leash_.post([this, topic] { go_on(topic); }); });
  leash_.post([this] {
    const auto topics = outbox_.topics();
    if (!topics) logger_.error("the outbox cannot be read", {{"error", topics.error().message}});
    for (const auto& topic : topics.value_or(std::vector<std::string>{})) go_on(topic);
  });
}

void OutboxDrain::finish(Duration most, std::function<void()> done) {
  leash_.post([this, most, done = std::move(done)]() mutable {
    finished_ = std::move(done);
    scheduler_.at(scheduler_.now().mono + most, [this] { end(); });
    end_if_idle();
  });
}

std::vector<OutboxDrain::Trouble> OutboxDrain::troubles() const {
  return troubles_.with([](const std::map<std::string, Error>& troubles) {
    std::vector<Trouble> all;
    for (const auto& [topic, error] : troubles) all.push_back({topic, error});
    return all;
  });
}

std::optional<Error> OutboxDrain::trouble(const std::string& topic) const {
  const auto found = queues_.find(topic);
  return found == queues_.end() ? std::nullopt : found->second.error;
}

// One thing of a kind is under way at a time; whatever ends calls this again.
void OutboxDrain::go_on(const std::string& topic) {
  if (ended_) return;
  Queue& queue = queues_[topic];
  if (queue.retry != Scheduler::TimerId::None) return;
  if (!queue.removing && queue.removed < queue.stored) remove(topic, queue);
  if (!queue.sending) send(topic, queue);
  if (!queue.sending && !queue.removing && queue.retry == Scheduler::TimerId::None) queues_.erase(topic);
  end_if_idle();
}

void OutboxDrain::send(const std::string& topic, Queue& queue) {
  auto entries = outbox_.pending(topic, queue.stored, queue.stored < queue.suspect ? 1 : queue.batch, kMostBytes);
  if (!entries) return failed(topic, entries.error());
  if (entries->empty()) return;
  const Sent what{entries->back().number, entries->size()};
  PublishRequest request;
  request.topic = topic;
  request.create_topic = false;
  for (auto& entry : *entries) request.messages.push_back(std::move(entry.message));
  queue.sending = true;
  event_log_.publish(std::move(request), leash_.answer<std::vector<Placement>>([this, topic, what](const auto& placed) {
    sent(topic, what, placed ? Status() : Status(fail(placed.error())));
  }));
}

void OutboxDrain::sent(const std::string& topic, const Sent& what, const Status& answer) {
  Queue& queue = queues_[topic];
  queue.sending = false;
  if (!answer) {
    // Nobody took any of them, or one of them was refused.
    if (answer.error().code == ErrorCode::Unavailable)
      queue.batch = 1;
    else
      queue.suspect = what.last;
    return failed(topic, answer.error());
  }
  sent_total_.add(what.count);
  queue.stored = what.last;
  queue.failures = 0;
  queue.batch = std::min(queue.batch * kFasterBy, kMostMessages);
  note_trouble(topic, queue, std::nullopt);
  go_on(topic);
}

void OutboxDrain::remove(const std::string& topic, Queue& queue) {
  queue.removing = true;
  outbox_.remove(topic, queue.stored, leash_.answer<void>([this, topic, last = queue.stored](const Status& answer) {
    removed(topic, last, answer);
  }));
}

// One that is not removed is not sent again in this life.
void OutboxDrain::removed(const std::string& topic, std::int64_t last, const Status& answer) {
  Queue& queue = queues_[topic];
  queue.removing = false;
  if (answer)
    queue.removed = last;
  else if (queue.retry == Scheduler::TimerId::None)
    retry_later(topic, queue, kMostDelayAway);
  go_on(topic);
}

void OutboxDrain::failed(const std::string& topic, const Error& error) {
  Queue& queue = queues_[topic];
  failures_total_.add(1);
  ++queue.failures;
  note_trouble(topic, queue, error);
  retry_later(topic, queue, delay_after(queue.failures, error.code, random_));
  end_if_idle();
}

void OutboxDrain::retry_later(const std::string& topic, Queue& queue, Duration delay) {
  queue.retry = scheduler_.at(scheduler_.now().mono + delay, [this, topic] {
    queues_[topic].retry = Scheduler::TimerId::None;
    go_on(topic);
  });
}

// Told when it begins, becomes another, and ends.
void OutboxDrain::note_trouble(const std::string& topic, Queue& queue, std::optional<Error> error) {
  if (error && (!queue.error || queue.error->code != error->code))
    logger_.error("outputs wait: their topic does not take them; they are sent again by themselves",
                  {{"topic", topic}, {"error", error->message}});
  if (!error && queue.error) logger_.info("outputs are sent again", {{"topic", topic}});
  const bool another =
      error.has_value() != queue.error.has_value() || (error && error->message != queue.error->message);
  queue.error = error;
  // In this order: who sees it from another thread finds it in the statuses of triggers too.
  if (another) changed_();
  troubles_.with([&](std::map<std::string, Error>& troubles) {
    if (error)
      troubles.insert_or_assign(topic, *error);
    else
      troubles.erase(topic);
  });
}

void OutboxDrain::end_if_idle() {
  if (!finished_) return;
  const bool busy = std::any_of(queues_.begin(), queues_.end(),
                                [](const auto& queue) { return queue.second.sending || queue.second.removing; });
  if (!busy) end();
}

void OutboxDrain::end() {
  if (std::exchange(ended_, true)) return;
  watch_.reset();
  for (auto& [topic, queue] : queues_) scheduler_.cancel(queue.retry);
  if (finished_) std::exchange(finished_, nullptr)();
}

}  // namespace dhub::service
