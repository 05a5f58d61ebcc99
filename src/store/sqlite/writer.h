// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <fmt/format.h>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/result.h"
#include "base/time.h"
#include "ports/answer.h"
#include "store/sqlite/appender.h"
#include "store/sqlite/sqlite.h"

namespace dhub::store {

// What a request works with, on the writer's thread, inside the transaction.
struct WriteContext {
  Connection& db;
  Appender& appender;
  Now now;
  bool lost = false;  // set by a request that failed with something staged: the whole transaction has to go
};

enum class WriteKind {
  Journal,  // goes before everything else; in a savepoint of its own
  Publish,  // checks before it writes, so it needs no savepoint
  Control,  // in a savepoint of its own; sees everything before it, staged messages too
};

struct WriteRequest {
  WriteKind kind = WriteKind::Control;
  std::size_t bytes = 0;
  // May be called again after its transaction was rolled back; an error undoes this request alone.
  std::function<Status(WriteContext&)> apply;
  // Once: on the writer's thread after the transaction is durable, or on the caller's when the request is turned away.
  std::function<void(const Status&)> answer;
};

struct WriterCounters {
  std::uint64_t transactions = 0;  // durable commits, one fsync each
  std::uint64_t requests = 0;      // answered
  std::uint64_t refused = 0;       // turned away by a full queue
  std::uint64_t rolled_back = 0;   // transactions lost to a full disk
  std::uint64_t checkpoints = 0;
  std::uint64_t wal_pages = 0;
  std::uint64_t messages = 0;       // appended
  std::uint64_t message_bytes = 0;  // of their batches
  std::uint64_t queued_requests = 0;
  std::uint64_t queued_bytes = 0;
};

struct WriterOptions {
  std::function<Now()> clock;
  std::function<void(std::string)> on_fatal;
  std::function<void(const std::vector<GrownPartition>&)> on_growth;  // after a commit, on the writer's thread
  // One slice of clean-up in its own transaction; true when there is more.
  std::function<Result<bool>(WriteContext&)> clean_up;
  Duration clean_up_every = std::chrono::seconds(5);
  Duration longest_wait = std::chrono::seconds(10);  // of a caller
  std::size_t most_requests = 65536;
  std::size_t most_bytes = 64U << 20;
};

// The only thread that writes to the store, and the only one that copies its log. Requests that wait together become
// one transaction (group commit). After a commit that failed with an I/O error nothing is answered with success any
// more and on_fatal is called: what the disk holds is then unknown, and asking it again would be a guess.
class Writer {
 public:
  Writer(std::unique_ptr<Connection> db, WriterOptions options);
  ~Writer() { stop(); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // Never blocks. Over the bounds the answer is Unavailable, after stop() Cancelled, both at once.
  void submit(WriteRequest request);

  // Submits `work`, which answers a Result<T>; `done` is called once, as `answer` above.
  template <typename T, typename F>
  void ask(WriteKind kind, F work, Answer<T> done);
  // Submits and waits for the result, at most `longest_wait`: then it is OutcomeUnknown and may still be done, so
  // `work` owns all that it uses. Not on the writer's thread.
  template <typename T, typename F>
  Result<T> call(WriteKind kind, F work);
  // The same for work that answers a Status.
  template <typename F>
  Status run(WriteKind kind, F work);

  // Does what is queued, then ends the thread and closes the connection. Idempotent.
  void stop();

  [[nodiscard]] WriterCounters counters() const;

 private:
  struct Done {
    WriteRequest request;
    Status status;
  };
  using Group = std::vector<Done>;
  // Journal and the rest are bounded apart: a flood of publishes must not turn a commit away.
  struct Lane {
    std::deque<WriteRequest> requests;
    std::size_t bytes = 0;
  };

  // Why it is turned away; taken (moved from) otherwise.
  Status queue(WriteRequest& request);
  void loop();
  bool wait_for_work();
  void run_group();
  // One transaction around `work`, which answers an error only when all of it is lost.
  Status transact(const std::function<Status(WriteContext&)>& work);
  Status take_requests(WriteContext& context, Group& group);
  std::optional<WriteRequest> pop(Lane& lane);
  Status run_one(WriteContext& context, const WriteRequest& request);
  Status run_in_savepoint(WriteContext& context, const WriteRequest& request);
  // The reason why the transaction cannot go on after a request that ended with `status`; none when it can.
  [[nodiscard]] Status still_whole(const WriteContext& context, const Status& status) const;
  void give_up_transaction();
  // After a full disk: the commits of the journal once more, without what came with them.
  void retry_journal(Group& group);
  void clean_up_if_due();
  void checkpoint_if_due();
  void die(const std::string& why);

  std::unique_ptr<Connection> db_;
  const WriterOptions options_;
  Appender appender_;
  bool dead_ = false;  // these three: the writer's thread only
  int next_checkpoint_pages_;
  Instant next_clean_up_{};

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  Lane journal_;
  Lane others_;
  WriterCounters counters_;
  bool stopping_ = false;

  std::atomic<std::thread::id> writing_thread_{};
  std::jthread thread_;
};

template <typename T, typename F>
void Writer::ask(WriteKind kind, F work, Answer<T> done) {
  // Shared: std::function copies.
  auto result = std::make_shared<Result<T>>(fail(ErrorCode::Internal, "The store did not run the request."));
  WriteRequest request;
  request.kind = kind;
  request.apply = [result, work = std::move(work)](WriteContext& context) -> Status {
    *result = work(context);
    if (!*result) return fail(result->error());
    return {};
  };
  request.answer = [result, done = std::move(done)](const Status& status) {
    if (!status) return done(fail(status.error()));
    done(std::move(*result));
  };
  submit(std::move(request));
}

template <typename T, typename F>
Result<T> Writer::call(WriteKind kind, F work) {
  CHECK(std::this_thread::get_id() != writing_thread_.load());  // it would wait for itself
  // Shared: the writer may answer when the caller has given up, or be inside set_value when it goes on.
  auto promise = std::make_shared<std::promise<Result<T>>>();
  auto answered = promise->get_future();
  ask<T>(kind, std::move(work), [promise](Result<T> result) { promise->set_value(std::move(result)); });
  if (answered.wait_for(options_.longest_wait) == std::future_status::ready) return answered.get();
  return fail(ErrorCode::OutcomeUnknown,
              fmt::format("The store did not answer within {}, so it is not known whether this was done. Send it "
                          "again; repeating is safe.",
                          to_string(options_.longest_wait)));
}

template <typename F>
Status Writer::run(WriteKind kind, F work) {
  const auto done = call<bool>(kind, [work = std::move(work)](WriteContext& context) -> Result<bool> {
    RETURN_IF_ERROR(work(context));
    return true;
  });
  if (!done) return fail(done.error());
  return {};
}

}  // namespace dhub::store
