// SPDX-License-Identifier: Apache-2.0
#include "eventlog/kafka/lookup.h"

#include <utility>

#include "eventlog/kafka/errors.h"

namespace dhub::kafka {
namespace {

constexpr Duration kLongest = std::chrono::seconds(3);
constexpr std::size_t kMostWaiting = 1024;

}  // namespace

void Lookup::ask(Question question, Answer answer) {
  {
    std::lock_guard lock(mutex_);
    if (!stopped_ && waiting_.size() < kMostWaiting) {
      waiting_.emplace_back(std::move(question), std::move(answer));
      if (!thread_.joinable()) thread_ = std::jthread([this](const std::stop_token& token) { loop(token); });
      wake_.notify_one();
      return;
    }
  }
  answer(fail(ErrorCode::Unavailable, "Too many reads wait for the Kafka cluster; try again in a moment."));
}

void Lookup::stop() {
  std::deque<std::pair<Question, Answer>> left;
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    left.swap(waiting_);
  }
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
  for (auto& [question, answer] : left) answer(fail(ErrorCode::Cancelled, "The server is stopping."));
}

void Lookup::loop(const std::stop_token& token) {
  while (true) {
    std::unique_lock lock(mutex_);
    if (!wake_.wait(lock, token, [&] { return !waiting_.empty(); })) return;
    auto [question, answer] = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    answer(read(question));
  }
}

// A client asks for records by the topic's name alone. Whose they are is asked afterwards: before is too early.
Result<ReadResult> Lookup::read(const Question& question) {
  auto found = read_by_name(question);
  if (found && !found->batch->records.empty()) RETURN_IF_ERROR(confirm(question));
  return found;
}

Status Lookup::confirm(const Question& question) const {
  if (question.identity.empty()) return {};
  ASSIGN_OR_RETURN(const TopicDescription now, admin_.describe_one(question.topic));
  if (now.identity == question.identity) return {};
  return fail(to_error(RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_ID, "Topic '" + question.topic + "' cannot be read"));
}

Result<ReadResult> Lookup::read_by_name(const Question& question) {
  if (!handle_) {
    ASSIGN_OR_RETURN(handle_, open_handle_());
  }
  handle_->poll(0);
  bool out_of_range = false;
  auto found = read_from(question, question.from, out_of_range);
  if (!out_of_range) return found;
  // Below the start it is read from the start, above the end there is nothing.
  ASSIGN_OR_RETURN(const auto starts, admin_.offsets({{question.topic, question.partition}}, LogEdge::Start));
  const auto start = starts.find({question.topic, question.partition});
  if (start == starts.end() || start->second <= question.from)
    return ReadResult{std::make_shared<RecordBatch>(), question.from, true};
  return read_from(question, start->second, out_of_range);
}

Result<ReadResult> Lookup::read_from(const Question& question, Offset from, bool& out_of_range) {
  {
    std::lock_guard lock(mutex_);
    ready_ = true;  // the first look costs nothing
  }
  Feed feed(
      handle_, question.topic, question.partition,
      [this] {
        std::lock_guard lock(mutex_);
        ready_ = true;
        wake_.notify_one();
      },
      nullptr);
  RETURN_IF_ERROR(feed.start(from));
  const auto until = std::chrono::steady_clock::time_point(read_clocks().mono + kLongest);
  while (true) {
    {
      std::unique_lock lock(mutex_);
      if (!wake_.wait_until(lock, thread_.get_stop_token(), until, [&] { return ready_; }))
        return fail(to_error(RD_KAFKA_RESP_ERR__TIMED_OUT, "Topic '" + question.topic + "' cannot be read"));
      ready_ = false;
    }
    Feed::Taken taken = feed.take(question.max_bytes);
    out_of_range = taken.state == Feed::State::OutOfRange;
    if (out_of_range) return ReadResult{taken.batch, from, true};
    if (!taken.batch->records.empty() || taken.state == Feed::State::AtEnd)
      return ReadResult{taken.batch, taken.next, taken.state == Feed::State::AtEnd};
    if (taken.state == Feed::State::More) {
      std::lock_guard lock(mutex_);
      ready_ = true;  // it was full of what is no record, and nobody tells of what is at hand already
    }
    if (taken.state == Feed::State::Failed)
      return fail(to_error(taken.error, "Topic '" + question.topic + "' cannot be read"));
  }
}

}  // namespace dhub::kafka
