// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "eventlog/kafka/admin.h"
#include "eventlog/kafka/feed.h"
#include "ports/event_log.h"

namespace dhub::kafka {

// Reads here and there in a topic, apart from those who follow it: for whoever looks at messages, and for records that
// are wanted again. One question at a time, on a thread and a client of its own.
class Lookup {
 public:
  Lookup(std::function<Result<std::shared_ptr<Handle>>()> open_handle, Admin admin)
      : open_handle_(std::move(open_handle)), admin_(std::move(admin)) {}
  ~Lookup() { stop(); }
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;

  struct Question {
    std::string topic;
    std::string identity;  // what is read of another topic of that name is answered with Conflict; empty: of any
    PartitionId partition{};
    Offset from{};
    std::size_t max_bytes = 0;
  };
  using Answer = std::function<void(Result<ReadResult>)>;
  // `answer` is called once, on the lookup's thread; after stop(), or when too many wait, at once.
  void ask(Question question, Answer answer);
  // Answers what waits with Cancelled. Idempotent.
  void stop();

 private:
  void loop(const std::stop_token& token);
  Result<ReadResult> read(const Question& question);
  Result<ReadResult> read_by_name(const Question& question);
  [[nodiscard]] Status confirm(const Question& question) const;
  Result<ReadResult> read_from(const Question& question, Offset from, bool& out_of_range);

  std::function<Result<std::shared_ptr<Handle>>()> open_handle_;
  Admin admin_;
  std::shared_ptr<Handle> handle_;  // shared: with the records that it lent
  std::mutex mutex_;
  std::condition_variable_any wake_;
  bool ready_ = false;  // the feed under way has something
  std::deque<std::pair<Question, Answer>> waiting_;
  bool stopped_ = false;
  std::jthread thread_;
};

}  // namespace dhub::kafka
