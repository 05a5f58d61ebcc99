// SPDX-License-Identifier: Apache-2.0
#include "eventlog/kafka/producer.h"

#include <array>
#include <atomic>
#include <fmt/format.h>
#include <utility>

#include "eventlog/kafka/errors.h"
#include "eventlog/kafka/records.h"

namespace dhub::kafka {
namespace {

constexpr int kPollMs = 100;
constexpr int kLastFlushMs = 5000;
constexpr int kMostQueued = 100'000;  // as queue.buffering.max.messages

}  // namespace

// What is asked for together and answered together, when the last message has its answer.
struct Producer::Request {
  std::string topic;
  const OnStored* on_stored = nullptr;
  PublishDone done;
  std::vector<Placement> placements;
  std::atomic<std::size_t> open{0};  // messages without an answer, and one for the publisher until it is through
  std::mutex mutex;
  std::optional<Error> error;  // the first one

  void note(Error found) {
    std::lock_guard lock(mutex);
    if (!error) error = std::move(found);
  }
  void stored(std::size_t index, const Placement& placement) {
    placements[index] = placement;
    (*on_stored)(topic, placement);
  }
  void answered() {
    if (open.fetch_sub(1) > 1) return;
    if (error) return done(fail(std::move(*error)));
    done(std::move(placements));
  }
};

struct Producer::Ticket {
  std::shared_ptr<Request> request;  // shared: by the tickets of all its messages
  std::size_t index = 0;
};

Producer::Producer(Properties properties, HandleEvents events, OnStored on_stored)
    : properties_(std::move(properties)),
      events_([&events] {
        events.on_delivered = &Producer::on_delivered;
        return std::move(events);
      }()),
      on_stored_(std::move(on_stored)) {}

void Producer::on_delivered(const rd_kafka_message_t& message) {
  const std::unique_ptr<Ticket> ticket(static_cast<Ticket*>(message._private));
  Request& request = *ticket->request;
  if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR)
    request.note(to_error(message.err, fmt::format("A message to topic '{}' was not published", request.topic)));
  else
    request.stored(ticket->index, {PartitionId{message.partition}, Offset{message.offset}});
  request.answered();
}

// After a fatal error of the idempotent producer nothing goes out any more: another one takes its place.
Result<std::shared_ptr<Handle>> Producer::handle() {
  std::lock_guard lock(mutex_);
  if (stopped_) return fail(ErrorCode::Cancelled, "The server is stopping; publish again when it is back.");
  std::array<char, 256> why{};
  if (handle_ && rd_kafka_fatal_error(handle_->get(), why.data(), why.size()) == RD_KAFKA_RESP_ERR_NO_ERROR)
    return handle_;
  if (handle_ && events_.on_log)
    events_.on_log(LogLevel::Error, fmt::format("the producer is replaced: {}", why.data()));
  ASSIGN_OR_RETURN(handle_, Handle::open(Role::Producer, properties_, events_));
  if (!thread_.joinable()) thread_ = std::jthread([this](const std::stop_token& token) { answer_loop(token); });
  return handle_;
}

void Producer::answer_loop(const std::stop_token& token) {
  while (!token.stop_requested()) {
    std::shared_ptr<Handle> current;
    {
      std::lock_guard lock(mutex_);
      current = handle_;
    }
    current->poll(kPollMs);
  }
}

Status Producer::enqueue(rd_kafka_t* rk, const std::string& topic, const Message& message,
                         std::unique_ptr<Ticket> ticket) {
  Headers headers = to_headers(message.headers);
  std::array<rd_kafka_vu_t, 7> arguments{};
  std::size_t count = 0;
  const auto add = [&](rd_kafka_vtype_t type) -> rd_kafka_vu_t& {
    arguments[count].vtype = type;
    return arguments[count++];
  };
  add(RD_KAFKA_VTYPE_TOPIC).u.cstr = topic.c_str();
  add(RD_KAFKA_VTYPE_MSGFLAGS).u.i = RD_KAFKA_MSG_F_COPY;
  if (message.key) add(RD_KAFKA_VTYPE_KEY).u.mem = {const_cast<char*>(message.key->data()), message.key->size()};
  if (message.value)
    add(RD_KAFKA_VTYPE_VALUE).u.mem = {const_cast<char*>(message.value->data()), message.value->size()};
  if (message.timestamp.ms > 0) add(RD_KAFKA_VTYPE_TIMESTAMP).u.i64 = message.timestamp.ms;
  if (headers) add(RD_KAFKA_VTYPE_HEADERS).u.headers = headers.get();
  add(RD_KAFKA_VTYPE_OPAQUE).u.ptr = ticket.get();
  rd_kafka_error_t* error = rd_kafka_produceva(rk, arguments.data(), count);
  if (error == nullptr) {
    (void)headers.release();  // the library's now, both of them
    (void)ticket.release();
    return {};
  }
  const auto code = rd_kafka_error_code(error);
  rd_kafka_error_destroy(error);
  return fail(to_error(code, fmt::format("A message to topic '{}' cannot be published", topic)));
}

void Producer::publish(const std::string& topic, const std::vector<Message>& messages, PublishDone done) {
  const auto current = handle();
  if (!current) return done(fail(current.error()));
  rd_kafka_t* rk = (*current)->get();
  if (rd_kafka_outq_len(rk) + static_cast<int>(messages.size()) > kMostQueued)
    return done(fail(ErrorCode::Unavailable, "The queue to the Kafka cluster is full; publish again in a moment."));
  auto request = std::make_shared<Request>();
  request->topic = topic;
  request->on_stored = &on_stored_;
  request->done = std::move(done);
  request->placements.resize(messages.size());
  request->open = messages.size() + 1;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    auto ticket = std::make_unique<Ticket>(Ticket{request, i});
    if (const Status taken = enqueue(rk, topic, messages[i], std::move(ticket)); !taken) {
      request->note(taken.error());
      request->answered();
    }
  }
  request->answered();
}

void Producer::stop() {
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(stopped_, true)) return;
  }
  if (!handle_) return;
  rd_kafka_flush(handle_->get(), kLastFlushMs);
  // What is left is answered with an error now, rather than never.
  rd_kafka_purge(handle_->get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
  thread_.request_stop();
  thread_.join();
  handle_->poll(0);
  handle_.reset();
}

}  // namespace dhub::kafka
