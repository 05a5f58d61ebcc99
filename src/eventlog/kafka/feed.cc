// SPDX-License-Identifier: Apache-2.0
#include "eventlog/kafka/feed.h"

#include <algorithm>
#include <utility>

#include "eventlog/kafka/errors.h"
#include "eventlog/kafka/records.h"

namespace dhub::kafka {
namespace {

constexpr std::size_t kMostMessages = 4096;  // of one take

// What comes after it would be another topic's.
bool ends_topic(rd_kafka_resp_err_t error) {
  return error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_ID ||
         error == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
}

}  // namespace

Feed::Feed(std::shared_ptr<Handle> handle, std::string topic, PartitionId partition, std::function<void()> on_ready,
           Confirm confirm)
    : handle_(std::move(handle)),
      topic_(std::move(topic)),
      partition_(partition),
      on_ready_(std::move(on_ready)),
      confirm_(std::move(confirm)),
      rd_topic_(rd_kafka_topic_new(handle_->get(), topic_.c_str(), nullptr)) {}

Feed::~Feed() {
  stop();
}

Status Feed::start(Offset from) {
  stop();
  queue_.reset(rd_kafka_queue_new(handle_->get()));
  next_ = from;
  at_end_ = false;
  confirmed_ = !confirm_;
  asked_ = 0;
  held_.reset();
  rd_kafka_queue_cb_event_enable(
      queue_.get(), [](rd_kafka_t*, void* feed) { static_cast<Feed*>(feed)->on_ready_(); }, this);
  if (!rd_topic_ || rd_kafka_consume_start_queue(rd_topic_.get(), partition_.value, from.value, queue_.get()) != 0) {
    queue_.reset();
    return fail(to_error(rd_kafka_last_error(), "Topic '" + topic_ + "' cannot be read"));
  }
  running_ = true;
  return {};
}

// No call of on_ready is under way when the queue's event is off: it is made under the queue's lock.
void Feed::stop() {
  if (!running_) return;
  running_ = false;
  rd_kafka_queue_cb_event_enable(queue_.get(), nullptr, nullptr);
  rd_kafka_consume_stop(rd_topic_.get(), partition_.value);
  queue_.reset();
}

// What is no record: the end of the log, or an error.
void Feed::note(const rd_kafka_message_t& event, Taken& taken) {
  if (event.err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
    next_ = std::max(next_, Offset{event.offset});
    at_end_ = true;
    taken.state = State::AtEnd;
  } else if (event.err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET || event.err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE) {
    taken.state = State::OutOfRange;
  } else {
    taken.state = State::Failed;
    taken.error = event.err;
  }
}

Feed::Taken Feed::nothing() const {
  return Taken{std::make_shared<const RecordBatch>(), next()};
}

// The first that comes is held until it is known to be the topic's.
Feed::Taken Feed::take(std::size_t max_bytes) {
  if (!held_) {
    const Offset before = next_;
    Taken taken = take_at_once(max_bytes);
    const bool something = !taken.batch->records.empty() || taken.state == State::AtEnd;
    if (confirmed_ || !something) return taken;
    held_from_ = before;
    held_ = std::move(taken);
  }
  if (confirm_(asked_)) {
    confirmed_ = true;
    Taken first = *std::exchange(held_, std::nullopt);
    // What has come since has been told already, and is told no second time.
    if (running_ && first.state != State::Failed) first.state = State::More;
    return first;
  }
  if (running_) return nothing();
  // It has failed with that: whoever begins anew gets it again.
  Taken failed = *std::exchange(held_, std::nullopt);
  failed.batch = std::make_shared<const RecordBatch>();
  failed.next = next_ = held_from_;
  return failed;
}

Feed::Taken Feed::take_at_once(std::size_t max_bytes) {
  Taken taken = nothing();
  if (!running_) return taken;
  const std::size_t most = std::clamp<std::size_t>(max_bytes / average_bytes_, 1, kMostMessages);
  scratch_.resize(most);
  const ssize_t got = rd_kafka_consume_batch_queue(queue_.get(), 0, scratch_.data(), most);
  if (got <= 0) {
    if (at_end_) taken.state = State::AtEnd;
    return taken;
  }
  auto loan = std::make_unique<Loan>(handle_);
  std::size_t bytes = 0;
  bool over = false;
  for (ssize_t i = 0; i < got; ++i) {
    rd_kafka_message_t* message = scratch_[static_cast<std::size_t>(i)];
    if (over || message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      if (!over) note(*message, taken);
      over = over || ends_topic(message->err);
      rd_kafka_message_destroy(message);
      continue;
    }
    at_end_ = false;
    if (taken.state == State::AtEnd) taken.state = State::Waiting;
    next_ = Offset{message->offset + 1};
    bytes += message->len + message->key_len;
    loan->messages.push_back(message);
  }
  const std::size_t count = loan->messages.size();
  if (count > 0) {
    average_bytes_ = std::max<std::size_t>((average_bytes_ * 3 + bytes / count) / 4, 64);
    taken.batch = to_batch(std::move(loan));
  }
  taken.next = next_;
  const bool more = taken.state == State::Waiting || taken.state == State::AtEnd;
  if (more && static_cast<std::size_t>(got) == most) taken.state = State::More;
  if (over || taken.state == State::OutOfRange) stop();
  return taken;
}

}  // namespace dhub::kafka
