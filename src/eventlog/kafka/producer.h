// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "eventlog/kafka/handle.h"
#include "ports/event_log.h"

namespace dhub::kafka {

// Publishes to the topics of a cluster: idempotent, acknowledged by all in-sync replicas. Thread-safe. Owns the thread
// that answers.
class Producer {
 public:
  // Told of each message that is stored, on the thread that answers, before its publisher is.
  using OnStored = std::function<void(const std::string& topic, const Placement& placement)>;

  Producer(Properties properties, HandleEvents events, OnStored on_stored);
  ~Producer() { stop(); }
  Producer(const Producer&) = delete;
  Producer& operator=(const Producer&) = delete;

  // Never blocks. `done` is called once: TooLarge, Unavailable (the bounded queue is full, or no broker has answered in
  // time: then nobody knows whether the messages are there), NotFound. Parts of a request that fails may be there.
  void publish(const std::string& topic, const std::vector<Message>& messages, PublishDone done);
  // Waits for what is under way, at most about 5 s; the rest is answered Cancelled.
  void stop();

 private:
  struct Request;
  struct Ticket;
  static void on_delivered(const rd_kafka_message_t& message);
  Result<std::shared_ptr<Handle>> handle();
  void answer_loop(const std::stop_token& token);
  Status enqueue(rd_kafka_t* rk, const std::string& topic, const Message& message, std::unique_ptr<Ticket> ticket);

  const Properties properties_;
  const HandleEvents events_;
  const OnStored on_stored_;
  std::mutex mutex_;
  std::shared_ptr<Handle> handle_;  // shared: with the thread that polls it and with publishers; replaced when broken
  std::jthread thread_;
  bool stopped_ = false;
};

}  // namespace dhub::kafka
