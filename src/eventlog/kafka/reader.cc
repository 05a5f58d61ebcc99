// SPDX-License-Identifier: Apache-2.0
// How one subscription reads: joins the head when it is there, catches up on its own when it is not.
#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "eventlog/kafka/errors.h"
#include "eventlog/kafka/streams.h"

namespace dhub::kafka {
namespace {

constexpr Duration kBeginAnew = std::chrono::seconds(2);

ReadResult nothing(Offset at, bool end) {
  return ReadResult{std::make_shared<RecordBatch>(), at, end, !end};
}

// Errors that reading on cannot mend; with the others, what is at hand is still good.
bool is_lasting(const Error& error) {
  return error.code != ErrorCode::Unavailable && error.code != ErrorCode::DeadlineExceeded;
}

}  // namespace

Reader::Reader(Streams& streams, TopicTable& table, Inspector& inspector, TopicUid uid, OnNews on_news)
    : streams_(streams),
      table_(table),
      inspector_(inspector),
      uid_(uid),
      id_(table.add_listener(uid, std::move(on_news))) {}

Reader::~Reader() {
  table_.remove_listener(id_);
  std::lock_guard lock(streams_.mutex);
  for (auto& [partition, part] : parts_) streams_.live.leave({uid_, partition}, id_);
  revoke();
}

// What was fetched ahead is fetched again when the next turn comes.
void Reader::revoke() {
  for (auto& [partition, part] : parts_) part.own.reset();
  handle_.reset();
  streams_.give_back(*this);
}

Result<ReadResult> Reader::read(PartitionId partition, Offset from, std::size_t max_bytes) {
  std::optional<PartitionRange> range;
  const auto view = table_.standing(uid_, partition, range);
  if (!view) return fail(ErrorCode::Unavailable, "The topic has not been looked up yet; that takes a moment.");
  if (view->error && is_lasting(*view->error)) return fail(*view->error);
  if (!range) {
    if (view->error) return fail(*view->error);
    return fail(ErrorCode::NotFound, fmt::format("Topic '{}' has no partition {}.", view->name, partition));
  }
  std::lock_guard lock(streams_.mutex);
  auto read = stream(*view, *range, from, max_bytes);
  if (read) {
    // A hole in what is streamed was compacted away: below the log's start the brokers refuse to stream.
    read->log_start = range->start;
    read->log_end = std::max(range->end, read->next_offset);
    if (read->next_offset > range->end) table_.raise_end(view->name, partition, read->next_offset);
  }
  if (!view->error || !read) return read;
  if (read->batch->records.empty()) return fail(*view->error);
  // These are still good; whoever takes them looks again, for nobody will call him, and hears of the error then.
  read->end_reached = read->pending = false;
  return read;
}

Result<ReadResult> Reader::stream(const TopicStanding& view, const PartitionRange& range, Offset from,
                                  std::size_t max_bytes) {
  Part& part = parts_[range.partition];
  if (part.out_of_range) {
    ASSIGN_OR_RETURN(const auto settled, settle_range(part, view, range, from));
    if (settled) return *settled;
  }
  // An error is told until something comes, but the stream is begun anew only once for each.
  if (part.again) {
    if (read_clocks().mono < *part.again) return fail(*part.error);
    part.again.reset();
  }
  const LiveFeeds::Key key{uid_, range.partition};
  if (part.watch.stalled(from, range.end, read_clocks().mono)) return fail(begin_anew(part, view, key, from));
  if (auto taken = streams_.live.take(key, id_, from, max_bytes)) return result_of(part, view, std::move(*taken));
  // Not at the head yet, or no more. Where the log ends as far as is known, it is the head.
  if (from >= range.end && !part.own) {
    ASSIGN_OR_RETURN(const bool joined, streams_.live.join(key, view.name, id_, from));
    if (joined) return stream(view, range, from, max_bytes);
  }
  ASSIGN_OR_RETURN(Feed::Taken taken, take_own(part, view, range.partition, from, max_bytes));
  if (taken.state == Feed::State::AtEnd) {
    ASSIGN_OR_RETURN(const bool joined, streams_.live.join(key, view.name, id_, taken.next));
    if (joined) part.own.reset();
  }
  auto result = result_of(part, view, std::move(taken));
  give_back_if_unused();
  return result;
}

Result<Feed::Taken> Reader::take_own(Part& part, const TopicStanding& view, PartitionId partition, Offset from,
                                     std::size_t max_bytes) {
  Feed::Taken waiting{std::make_shared<RecordBatch>(), from};
  if (!handle_) {
    ASSIGN_OR_RETURN(handle_, streams_.borrow(*this, id_));
  }
  if (!handle_) {
    part.watch.begin_anew();  // it is not his turn
    return waiting;
  }
  if (!part.own || !part.own->running() || part.own->next() != from) {
    if (!part.own)
      part.own = std::make_unique<Feed>(
          handle_, view.name, partition,
          [&table = table_, id = id_, partition] { table.notify_listener(id, partition); },
          [this, partition](std::uint64_t& asked) {
            return streams_.confirm({uid_, partition}, asked);
          });
    RETURN_IF_ERROR(part.own->start(from));
    return waiting;
  }
  return part.own->take(max_bytes);
}

Result<ReadResult> Reader::result_of(Part& part, const TopicStanding& view, Feed::Taken taken) {
  const bool any = !taken.batch->records.empty();
  if (any || taken.state == Feed::State::AtEnd) part.error.reset();
  switch (taken.state) {
    case Feed::State::More:
      return ReadResult{std::move(taken.batch), taken.next, false};
    case Feed::State::AtEnd:
      return ReadResult{std::move(taken.batch), taken.next, true};
    case Feed::State::Waiting:
      // A stream that failed and has said nothing since has not recovered yet.
      if (!any && part.error) return fail(*part.error);
      return ReadResult{std::move(taken.batch), taken.next, any, !any};
    case Feed::State::OutOfRange:
      part.own.reset();
      part.out_of_range = true;
      part.round = view.round;
      inspector_.look_at(uid_);
      return ReadResult{std::move(taken.batch), taken.next, any, !any};
    case Feed::State::Failed:
      part.own.reset();
      part.error = to_error(taken.error, fmt::format("Topic '{}' cannot be read", view.name));
      part.again = read_clocks().mono + kBeginAnew;
      // Others must not begin anew on what may be another topic by now, until somebody has looked.
      if (part.error->code == ErrorCode::NotFound || part.error->code == ErrorCode::Conflict)
        table_.set_error(uid_, *part.error, inspector_.rounds_begun());
      inspector_.look_at(uid_);
      if (any) return ReadResult{std::move(taken.batch), taken.next, true};
      return fail(*part.error);
  }
  return nothing(taken.next, false);
}

// The brokers do not have the offset: retention has passed it, or the log is not what it was. None: it is there after
// all.
Result<std::optional<ReadResult>> Reader::settle_range(Part& part, const TopicStanding& view,
                                                       const PartitionRange& range, Offset from) {
  if (view.round <= part.round || view.error) return std::optional(nothing(from, false));
  if (from > range.end) {
    part.round = view.round;  // looked at again with every round: it may be a replica that lags
    return fail(ErrorCode::Corruption,
                fmt::format("The trigger stands at offset {} of partition {}, but topic '{}' ends at {}: its data was "
                            "cut off or replaced. Start the trigger again with from=earliest or from=latest.",
                            from, range.partition, view.name, range.end));
  }
  part.out_of_range = false;
  if (from < range.start)
    return std::optional(ReadResult{std::make_shared<RecordBatch>(), range.start, range.start >= range.end});
  return std::nullopt;
}

// By a client of his own that is new: whatever keeps the one at hand from moving, it has not told.
Error Reader::begin_anew(Part& part, const TopicStanding& view, const LiveFeeds::Key& key, Offset from) {
  streams_.live.leave(key, id_);
  revoke();
  table_.notify_listener(id_, std::nullopt);  // the other partitions have lost their client too
  part.watch.begin_anew();
  part.again = read_clocks().mono + kBeginAnew;
  part.error = Error{ErrorCode::Unavailable,
                     fmt::format("Partition {} of topic '{}' has more, but nothing has come from offset {} on for {}; "
                                 "reading begins anew.",
                                 key.second, view.name, from, to_string(StallWatch::kPatience))};
  return *part.error;
}

void Reader::give_back_if_unused() {
  const bool used =
      std::any_of(parts_.begin(), parts_.end(), [](const auto& part) { return part.second.own != nullptr; });
  if (used) return;
  handle_.reset();
  streams_.give_back(*this);
}

}  // namespace dhub::kafka
