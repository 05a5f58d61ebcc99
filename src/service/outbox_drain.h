// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/guarded.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/random.h"
#include "ports/event_log.h"
#include "ports/outbox.h"
#include "ports/scheduler.h"
#include "service/leash.h"

namespace dhub::service {

// Sends what the outbox holds to the topics of other clusters. Each topic for itself: in the order of the commits, one
// request at a time, each again until the cluster has acknowledged it, so at least once. Nothing is ever given up: a
// topic that takes nothing is tried again for ever, ever more rarely, and told. Where one of several was refused they
// go singly, so that its neighbours are not repeated with it for ever.
//
// Everything happens on the scheduler's thread. The ports outlive it, but may answer afterwards. Destroy it when the
// loop has ended, and before the scheduler.
class OutboxDrain {
 public:
  OutboxDrain(Scheduler& scheduler, Outbox& outbox, EventLog& event_log, Metrics& metrics, Logger& logger,
              std::uint64_t seed);
  ~OutboxDrain();
  OutboxDrain(const OutboxDrain&) = delete;
  OutboxDrain& operator=(const OutboxDrain&) = delete;

  // Any thread, once: begins with what an earlier life has left.
  void start();
  // Any thread: calls `done` on the loop when all has been sent that can be at the moment, at the latest after `most`.
  // Nothing is sent from then on; what is left goes out after the next start.
  void finish(Duration most, std::function<void()> done);

  // Before start(): called on the loop when troubles() has become another.
  void when_troubles_change(std::function<void()> told) { changed_ = std::move(told); }

  struct Trouble {
    std::string topic;
    Error error;
  };
  // Any thread: topics that did not take what was last sent to them.
  [[nodiscard]] std::vector<Trouble> troubles() const;
  // Loop only. The topic is named with its cluster.
  [[nodiscard]] std::optional<Error> trouble(const std::string& topic) const;

 private:
  static constexpr std::size_t kMostMessages = 1000;  // of one request

  // What is known of one topic's queue while there is something in it.
  struct Queue {
    std::int64_t stored = 0;            // up to here the cluster has acknowledged
    std::int64_t removed = 0;           // up to here they were removed
    std::size_t batch = kMostMessages;  // of the next request
    std::int64_t suspect = 0;           // up to here one is refused, so they go singly
    bool sending = false;
    bool removing = false;
    int failures = 0;  // in a row
    std::optional<Error> error;
    Scheduler::TimerId retry = Scheduler::TimerId::None;
  };

  void go_on(const std::string& topic);
  void send(const std::string& topic, Queue& queue);
  struct Sent {
    std::int64_t last = 0;
    std::size_t count = 0;
  };
  void sent(const std::string& topic, const Sent& what, const Status& answer);
  void remove(const std::string& topic, Queue& queue);
  void removed(const std::string& topic, std::int64_t last, const Status& answer);
  void failed(const std::string& topic, const Error& error);
  void retry_later(const std::string& topic, Queue& queue, Duration delay);
  void note_trouble(const std::string& topic, Queue& queue, std::optional<Error> error);
  void end_if_idle();
  void end();

  Scheduler& scheduler_;
  Outbox& outbox_;
  EventLog& event_log_;
  Logger& logger_;
  Counter& sent_total_;
  Counter& failures_total_;
  Random random_;
  std::map<std::string, Queue> queues_;
  std::function<void()> changed_ = [] {};
  std::function<void()> finished_;  // while it is being finished
  bool ended_ = false;
  Guarded<std::map<std::string, Error>> troubles_;
  std::unique_ptr<Outbox::Watch> watch_;
  Leash leash_;
};

}  // namespace dhub::service
