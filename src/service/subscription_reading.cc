// SPDX-License-Identifier: Apache-2.0
// How a subscription reads its topic.
#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "service/subscription.h"

namespace dhub::service {
namespace {

constexpr std::size_t kReadBytes = 512 << 10;  // of one read of one partition
constexpr std::int64_t kReadAhead = 16 << 10;  // runnable events beyond which reading waits
constexpr Duration kReadAgain = std::chrono::seconds(1);
constexpr Duration kAskAgain = std::chrono::seconds(10);
constexpr Duration kNoteEnds = milliseconds(100);

}  // namespace

void Subscription::open_reader() {
  reader_ = world_.event_log.open_reader(spec_.trigger.topic, [posted = growth_posted_, grown = leash_.word([this] {
                                           growth_posted_->store(false);
                                           on_growth();
                                         })](std::optional<PartitionId>) {
    if (!posted->exchange(true)) grown();  // one task for all the growth until it runs
  });
}

void Subscription::on_growth() {
  fetch_awaited();
  if (stopping_) return;
  unread_ = engine_.partitions();
  const Instant next = ends_noted_at_ ? *ends_noted_at_ + kNoteEnds : Instant{};
  if (world_.scheduler.now().mono >= next)
    note_ends();
  else
    note_ends_at_ = next;  // this may have been the last word for long
  read_on();
  arm_timer();
  end_if_drained();
}

// The lag can be seen to grow while the window is full or the trigger is paused, and new partitions are seen.
void Subscription::note_ends() {
  note_ends_at_.reset();
  ends_noted_at_ = world_.scheduler.now().mono;
  const auto topic = world_.event_log.topic(spec_.trigger.topic);
  if (!topic) {
    note_ends_at_ = *ends_noted_at_ + kReadAgain;  // what we were called for is not told again
    return;
  }
  if (topic->partitions.size() > engine_.partitions().size()) take_new_partitions(*topic);
  for (const auto& range : topic->partitions) lag_.raise_end(range.partition, range.end);
  metrics_.set_lag(lag_.lag());
  look_again_when_behind();
}

// Whoever is behind does not rely on being called when the records have come.
void Subscription::look_again_when_behind() {
  if (lag_.lag() > 0 && !paused_ && !stopping_) read_again_later(kAskAgain);
}

// They begin at 0, whatever retention has left of them: what was published since they are there is covered. The journal
// knows them before the engine does.
void Subscription::take_new_partitions(const Topic& topic) {
  if (stopping_) return;
  std::vector<StartOffset> fresh;
  for (const auto& range : topic.partitions)
    if (engine_.window(range.partition) == nullptr) fresh.push_back({range.partition, Offset{0}});
  const auto added = world_.journal.add_partitions(spec_.trigger.position, epoch_, fresh);
  if (!added && added.error().code == ErrorCode::Fenced) return break_off(added.error());
  if (!added) {
    note_error(added.error().message);
    if (!partitions_error_)
      log(LogLevel::Error, "new partitions cannot be taken up, trying again every second",
          {{"error", added.error().message}});
    partitions_error_ = added.error();
    note_ends_at_ = world_.scheduler.now().mono + kReadAgain;
    return;
  }
  partitions_error_.reset();
  log(LogLevel::Info, "the topic has got new partitions", {{"count", fmt::format("{}", fresh.size())}});
  for (const auto& start : fresh) {
    engine_.add_partition({start.partition, start.offset, start.offset, {}, {}, {}}, world_.scheduler.now());
    lag_.set_cursor(start.partition, start.offset);
    unread_.push_back(start.partition);
  }
  post_read();
}

void Subscription::post_read() {
  if (read_posted_ || stopping_ || paused_) return;
  if (engine_.demand().runnable > kReadAhead) return;  // outcomes will bring us here again
  read_posted_ = true;
  leash_.post([this] {
    read_posted_ = false;
    read_on();
  });
}

// One read of each partition that has more, then the loop gets its turn again. A paused trigger does not read: its
// backlog is safer in the log than in memory.
void Subscription::read_on() {
  if (stopping_ || paused_) return;
  std::vector<PartitionId> more;
  for (const PartitionId partition : std::exchange(unread_, {}))
    if (read_partition(partition)) more.push_back(partition);
  // Growth that was told meanwhile has put all of them back.
  if (unread_.empty()) unread_ = std::move(more);
  const bool room =
      std::any_of(unread_.begin(), unread_.end(), [&](PartitionId p) { return engine_.wants_read(p).has_value(); });
  if (room) post_read();
}

// Answers whether there is more to read, now or when the window has moved.
bool Subscription::read_partition(PartitionId partition) {
  const auto from = engine_.wants_read(partition);
  if (!from) return true;
  const auto read = chunk_of(partition, reader_->read(partition, *from, kReadBytes));
  if (!read) {
    read_again_later(kReadAgain);
    return false;
  }
  if (read->pending) {
    look_again_when_behind();
    return false;
  }
  lag_.raise_end(partition, read->chunk.next_offset);
  step([&](const Now& now) { engine_.records(partition, read->chunk, now, out_); });
  // The engine may not have had room for all of it.
  const auto next = engine_.wants_read(partition);
  return !read->end_reached || !next || *next < read->chunk.next_offset;
}

void Subscription::read_again_later(Duration delay) {
  const Instant at = world_.scheduler.now().mono + delay;
  read_again_at_ = read_again_at_ ? std::min(*read_again_at_, at) : at;
  arm_timer();
}

Result<Subscription::Chunk> Subscription::chunk_of(PartitionId partition, Result<ReadResult> read) {
  if (!read) return fail(note_read_error(partition, std::move(read.error())));
  if (read_errors_.erase(partition) > 0)
    log(LogLevel::Info, "reading again", {{"partition", fmt::format("{}", partition)}});
  return Chunk{{std::move(read->batch), read->next_offset, read->log_start}, read->end_reached, read->pending};
}

Error Subscription::note_read_error(PartitionId partition, Error error) {
  note_error(error.message);
  if (read_errors_.insert_or_assign(partition, error).second)
    log(LogLevel::Error, "topic cannot be read, trying again every second",
        {{"partition", fmt::format("{}", partition)}, {"error", error.message}});
  return error;
}

void Subscription::fetch_awaited() {
  for (const auto& wanted : std::exchange(awaited_fetches_, {})) fetch(wanted);
}

// Gets the bytes of an event whose turn has come after they had been let go.
void Subscription::fetch(const delivery::Fetch& wanted) {
  if (ended_ || killed_ || !reader_) return;
  const auto read = chunk_of(wanted.partition, reader_->fetch(wanted.partition, wanted.offset, kReadBytes));
  if (read && read->pending) {
    awaited_fetches_.push_back(wanted);
    read_again_later(kAskAgain);
    return;
  }
  if (!read) {
    // The event keeps its turn and is asked for again.
    leash_.at(world_.scheduler.now().mono + kReadAgain, [this, wanted] { fetch(wanted); });
    return;
  }
  step([&](const Now& now) { engine_.fetched(wanted.partition, wanted.offset, read->chunk, now, out_); });
}

}  // namespace dhub::service
