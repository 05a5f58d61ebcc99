// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/writer.h"

#include <algorithm>

namespace dhub::store {
namespace {

constexpr std::size_t kTransactionBytes = 4U << 20;
constexpr Duration kTransactionTime = std::chrono::milliseconds(5);
constexpr int kCheckpointPages = 2048;      // 16 MiB
constexpr int kCheckpointRetryPages = 512;  // readers stood in the way: try again this much later
constexpr int kRestartPages = 32768;        // 256 MiB: now wait for the readers
constexpr Duration kCleanUpAfterError = std::chrono::seconds(30);

tl::unexpected<Error> stopped_by_failure() {
  return fail(ErrorCode::Internal, "The store has stopped after an I/O error; see the server's log.");
}

}  // namespace

Writer::Writer(std::unique_ptr<Connection> db, WriterOptions options)
    : db_(std::move(db)), options_(std::move(options)), appender_(*db_), next_checkpoint_pages_(kCheckpointPages) {
  next_clean_up_ = read_clocks().mono + options_.clean_up_every;
  thread_ = std::jthread([this] { loop(); });
}

void Writer::submit(WriteRequest request) {
  // Outside the lock, and now: a refusal that waited for its turn would hold what was refused.
  if (const Status queued = queue(request); !queued) request.answer(queued);
}

Status Writer::queue(WriteRequest& request) {
  std::lock_guard lock(mutex_);
  if (stopping_) return fail(ErrorCode::Cancelled, "The server is stopping.");
  Lane& lane = request.kind == WriteKind::Journal ? journal_ : others_;
  const bool full = lane.requests.size() >= options_.most_requests ||
                    (!lane.requests.empty() && lane.bytes + request.bytes > options_.most_bytes);
  if (full) {
    ++counters_.refused;
    return fail(ErrorCode::Unavailable, "The store has too much to write at the moment; try again.");
  }
  lane.bytes += request.bytes;
  lane.requests.push_back(std::move(request));
  wake_.notify_one();
  return {};
}

void Writer::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
  if (db_ && dead_) sqlite3_db_config(db_->handle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  db_.reset();
}

WriterCounters Writer::counters() const {
  std::lock_guard lock(mutex_);
  WriterCounters now = counters_;
  now.queued_requests = journal_.requests.size() + others_.requests.size();
  now.queued_bytes = journal_.bytes + others_.bytes;
  return now;
}

void Writer::loop() {
  writing_thread_ = std::this_thread::get_id();
  while (wait_for_work()) {
    run_group();
    checkpoint_if_due();
    clean_up_if_due();
  }
}

bool Writer::wait_for_work() {
  std::unique_lock lock(mutex_);
  const auto any = [this] { return !journal_.requests.empty() || !others_.requests.empty(); };
  wake_.wait_until(lock, next_clean_up_, [&] { return stopping_ || any(); });
  return !stopping_ || any();
}

std::optional<WriteRequest> Writer::pop(Lane& lane) {
  std::lock_guard lock(mutex_);
  if (lane.requests.empty()) return std::nullopt;
  WriteRequest request = std::move(lane.requests.front());
  lane.requests.pop_front();
  lane.bytes -= request.bytes;
  return request;
}

void Writer::run_group() {
  Group group;
  {
    std::lock_guard lock(mutex_);
    if (journal_.requests.empty() && others_.requests.empty()) return;
  }
  const Status status = transact([&](WriteContext& context) { return take_requests(context, group); });
  if (!status) {
    // A dead store takes nothing: whoever waits is told so.
    while (auto request = dead_ ? pop(journal_) : std::nullopt) group.push_back({std::move(*request), {}});
    while (auto request = dead_ ? pop(others_) : std::nullopt) group.push_back({std::move(*request), {}});
    for (auto& done : group)
      if (done.status) done.status = fail(status.error());
    if (status.error().code == ErrorCode::StorageFull && !dead_) retry_journal(group);
  }
  for (auto& done : group) done.request.answer(done.status);
  std::lock_guard lock(mutex_);
  counters_.requests += group.size();
}

Status Writer::transact(const std::function<Status(WriteContext&)>& work) {
  if (dead_) return stopped_by_failure();
  db_->clear_failure();
  const auto changes_before = sqlite3_total_changes64(db_->handle());
  WriteContext context{*db_, appender_, options_.clock()};
  Status status = db_->run("BEGIN IMMEDIATE");
  if (status) status = work(context);
  if (status) status = appender_.flush();
  if (status) status = db_->run("COMMIT");
  if (!status) {
    give_up_transaction();
    if (db_->failure() == StorageFailure::Io) {
      die(status.error().message);
      return stopped_by_failure();
    }
    return status;
  }
  const auto grown = appender_.committed();
  if (!grown.empty()) options_.on_growth(grown);
  std::lock_guard lock(mutex_);
  if (sqlite3_total_changes64(db_->handle()) != changes_before) ++counters_.transactions;
  counters_.wal_pages = static_cast<std::uint64_t>(db_->wal_pages());
  counters_.messages = appender_.messages();
  counters_.message_bytes = appender_.bytes();
  return {};
}

void Writer::give_up_transaction() {
  appender_.rolled_back();
  // SQLite may have rolled back already; whether this works changes nothing any more.
  if (db_->in_transaction()) static_cast<void>(db_->run("ROLLBACK"));
  std::lock_guard lock(mutex_);
  ++counters_.rolled_back;
}

Status Writer::take_requests(WriteContext& context, Group& group) {
  std::size_t bytes = 0;
  bool others_served = false;
  for (;;) {
    const bool open =
        bytes < kTransactionBytes && (group.empty() || options_.clock().mono - context.now.mono < kTransactionTime);
    auto request = open ? pop(journal_) : std::nullopt;
    // A busy journal leaves at least one turn to the others.
    if (!request && (open || !others_served)) {
      request = pop(others_);
      others_served = true;
    }
    if (!request) return {};
    bytes += request->bytes;
    Done& done = group.emplace_back(Done{std::move(*request), {}});
    done.status = run_one(context, done.request);
    RETURN_IF_ERROR(still_whole(context, done.status));
  }
}

Status Writer::run_one(WriteContext& context, const WriteRequest& request) {
  if (request.kind == WriteKind::Publish) return request.apply(context);
  if (request.kind == WriteKind::Control) {
    if (auto flushed = appender_.flush(); !flushed) {
      context.lost = true;  // what its neighbours staged is lost with it
      return flushed;
    }
  }
  return run_in_savepoint(context, request);
}

Status Writer::run_in_savepoint(WriteContext& context, const WriteRequest& request) {
  RETURN_IF_ERROR(db_->run("SAVEPOINT request"));
  appender_.begin_request();
  Status status = request.apply(context);
  if (status) {
    status = db_->run("RELEASE request");
    context.lost = context.lost || !status;
    return status;
  }
  appender_.undo_request();
  if (!still_whole(context, status)) return status;
  if (!db_->run("ROLLBACK TO request") || !db_->run("RELEASE request")) context.lost = true;
  return status;
}

Status Writer::still_whole(const WriteContext& context, const Status& status) const {
  if (!context.lost && db_->failure() == StorageFailure::None && db_->in_transaction()) return {};
  if (!status) return status;
  return fail(db_->failure() == StorageFailure::Full ? ErrorCode::StorageFull : ErrorCode::Unavailable,
              "The store could not write; nothing was stored. Try again.");
}

void Writer::retry_journal(Group& group) {
  const auto is_journal = [](const Done& done) { return done.request.kind == WriteKind::Journal; };
  const auto commits = std::count_if(group.begin(), group.end(), is_journal);
  if (commits == 0 || static_cast<std::size_t>(commits) == group.size()) return;
  const Status status = transact([&](WriteContext& context) -> Status {
    for (auto& done : group) {
      if (!is_journal(done)) continue;
      done.status = run_one(context, done.request);
      RETURN_IF_ERROR(still_whole(context, done.status));
    }
    return {};
  });
  if (status) return;
  for (auto& done : group)
    if (done.status) done.status = fail(status.error());
}

void Writer::clean_up_if_due() {
  const Instant now = read_clocks().mono;
  if (dead_ || now < next_clean_up_) return;
  bool more = false;
  const Status status = transact([&](WriteContext& context) -> Status {
    ASSIGN_OR_RETURN(more, options_.clean_up(context));
    return {};
  });
  if (!status)
    next_clean_up_ = now + kCleanUpAfterError;
  else if (!more)
    next_clean_up_ = now + options_.clean_up_every;
}

void Writer::checkpoint_if_due() {
  const int pages = db_->wal_pages();
  if (dead_ || pages < next_checkpoint_pages_) {
    if (pages < kCheckpointPages) next_checkpoint_pages_ = kCheckpointPages;
    return;
  }
  db_->clear_failure();
  const auto whole = db_->checkpoint(pages >= kRestartPages);
  // A full disk stops the copying only: the log holds everything.
  if (!whole && db_->failure() == StorageFailure::Io) return die(whole.error().message);
  next_checkpoint_pages_ = whole.value_or(false) ? kCheckpointPages : pages + kCheckpointRetryPages;
  std::lock_guard lock(mutex_);
  ++counters_.checkpoints;
}

void Writer::die(const std::string& why) {
  dead_ = true;
  options_.on_fatal(why);
}

}  // namespace dhub::store
