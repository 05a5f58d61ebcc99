// SPDX-License-Identifier: Apache-2.0
#include "service/topic_reading.h"

#include <algorithm>
#include <utility>

namespace dhub::service {
namespace {

constexpr std::size_t kReadBytes = 512 << 10;  // of one read of one partition
constexpr std::size_t kReadsOfATurn = 8;       // then the loop gets its turn again
constexpr std::size_t kMostNews = 1024;        // partitions told by name; beyond it, all are looked at
constexpr Duration kReadAgain = std::chrono::seconds(1);
constexpr Duration kAskAgain = std::chrono::seconds(10);
constexpr Duration kCloseAfter = std::chrono::seconds(10);
constexpr Duration kNoteEnds = milliseconds(100);          // after news of the whole topic
constexpr Duration kNoteUnread = std::chrono::seconds(1);  // while partitions grow that are not read

void sooner(std::optional<Instant>& at, Instant other) {
  at = at ? std::min(*at, other) : other;
}

delivery::ReadChunk chunk_of(ReadResult read, Offset from) {
  return {std::move(read.batch), read.next_offset, read.log_start, from, read.end_reached};
}

}  // namespace

TopicReading::TopicReading(Place place, const delivery::Engine& engine, TriggerMetrics& metrics, Owner& owner)
    : place_(place), engine_(engine), metrics_(metrics), owner_(owner), leash_(place.scheduler) {}

void TopicReading::start() {
  reader_ = open(&TopicReading::on_news);
  for (const PartitionId partition : engine_.partitions()) {
    lag_.set_cursor(partition, engine_.view(partition).cursor);
    mark(partition);
  }
  note_ends();
}

void TopicReading::stop() {
  reader_.reset();
  again_ = {};
  retry_at_.reset();
  note_ends_at_.reset();
}

// One task for all that is told until it runs.
std::unique_ptr<TopicReader> TopicReading::open(void (TopicReading::*take)(News)) {
  auto box = std::make_shared<Guarded<News>>();  // shared: with threads of the log, which may call a moment longer
  auto told =
      leash_.word([this, box, take] { (this->*take)(box->with([](News& n) { return std::exchange(n, {}); })); });
  return place_.event_log.open_reader(
      place_.topic, [box = std::move(box), told = std::move(told)](std::optional<PartitionId> partition) {
        const bool first = box->with([&](News& news) {
          if (!partition || news.partitions.size() >= kMostNews)
            news.all = true;
          else if (news.partitions.empty() || news.partitions.back() != *partition)
            news.partitions.push_back(*partition);
          return !std::exchange(news.posted, true);
        });
        if (first) told();
      });
}

void TopicReading::on_news(News news) {
  if (!reader_) return;
  if (news.all) mark_all();
  for (const PartitionId partition : news.partitions) {
    const bool is_new = !engine_.backlog().index_of(partition);
    if (!is_new) mark(partition);
    news.all = news.all || is_new;
  }
  look_at_topic(ends_noted_at_.value_or(Instant{}) + (news.all ? kNoteEnds : kNoteUnread));
  if (note_ends_at_ && *note_ends_at_ <= now()) note_ends();
  read_on();
  owner_.on_timer_moved();
}

void TopicReading::on_news_again(News news) {
  if (news.all) again_.awaited.clear();
  for (const PartitionId partition : news.partitions) again_.awaited.erase(partition);
  look();
}

void TopicReading::mark(PartitionId partition) {
  if (is_unread_.insert(partition).second) unread_.push_back(partition);
}

void TopicReading::mark_all() {
  for (const PartitionId partition : engine_.partitions()) mark(partition);
}

void TopicReading::add_partition(PartitionId partition) {
  mark(partition);
  post();
}

void TopicReading::look_at_topic(Instant at) {
  sooner(note_ends_at_, at);
}

// The lag can be seen to grow while nothing is read, and new partitions are seen.
void TopicReading::note_ends() {
  note_ends_at_.reset();
  ends_noted_at_ = now();
  const auto topic = place_.event_log.topic(place_.topic);
  if (!topic) return look_at_topic(now() + kReadAgain);  // what we were called for is not told again
  owner_.on_topic(*topic);
  for (const auto& range : topic->partitions) lag_.set_end(range.partition, range.end);
  metrics_.set_lag(lag_.lag());
  // Whoever is behind does not rely on being called when the records have come.
  if (lag_.lag() > 0 && !is_paused_) retry_at(now() + kAskAgain);
}

std::optional<Instant> TopicReading::next_at() const {
  std::optional<Instant> at = retry_at_;
  for (const auto& other : {note_ends_at_, again_.close_at})
    if (other) sooner(at, *other);
  return at;
}

void TopicReading::on_time(Instant now) {
  const auto due = [now](std::optional<Instant>& at) { return at && *at <= now; };
  if (due(note_ends_at_)) note_ends();
  if (due(again_.close_at)) again_ = {};
  if (!due(retry_at_)) return;
  retry_at_.reset();
  again_.awaited.clear();
  mark_all();
  post();
}

void TopicReading::retry_at(Instant at) {
  if (!reader_) return;
  sooner(retry_at_, at);
  owner_.on_timer_moved();
}

// ---- reading on ----

void TopicReading::look() {
  const bool has_room = !unread_.empty() && engine_.wants_more();
  if (has_room || wants_again()) post();
  wait_for_bytes();
  if (again_.reader && !again_.close_at && !engine_.wants_again()) again_.close_at = now() + kCloseAfter;
}

void TopicReading::post() {
  if (is_posted_ || is_paused_ || !reader_) return;
  is_posted_ = true;
  leash_.post([this] {
    is_posted_ = false;
    read_on();
  });
}

// A read of each partition that has more, then the loop gets its turn again. What lacks its bytes comes first: it is
// what was to run long ago.
void TopicReading::read_on() {
  if (is_paused_ || !reader_) return;
  read_again_on();
  const std::size_t reads = std::min(unread_.size(), kReadsOfATurn);
  bool any = false;
  for (std::size_t i = 0; i < reads && reader_ && engine_.wants_more(); ++i) {
    const PartitionId partition = unread_.front();
    unread_.pop_front();
    is_unread_.erase(partition);
    if (const auto from = engine_.wants_read(partition)) {
      read_partition(partition, *from);
      any = true;
    } else {
      mark(partition);  // its own window is full
    }
  }
  if (any) look();
  wait_for_bytes();
}

// Nobody calls when others hold fewer bytes.
void TopicReading::wait_for_bytes() {
  if (!retry_at_ && !unread_.empty() && engine_.waits_for_bytes()) retry_at(now() + kReadAgain);
}

void TopicReading::read_partition(PartitionId partition, Offset from) {
  auto read = reader_->read(partition, from, kReadBytes);
  if (!read) return fail_read(partition, read.error());
  if (errors_.erase(partition) > 0) owner_.on_read_recovered(partition);
  lag_.raise_end(partition, std::max(read->log_end, read->next_offset));
  if (read->pending) {
    if (lag_.lag() > 0) retry_at(now() + kAskAgain);
    return;
  }
  metrics_.count_read(read->batch->records.size());
  const auto chunk = chunk_of(std::move(*read), from);
  // Before the step: the engine may not have room for all of it, and it may end us.
  if (!chunk.end_reached) mark(partition);
  owner_.on_records(partition, chunk);
  const auto next = engine_.wants_read(partition);
  if (!next || *next < chunk.next_offset) mark(partition);
}

void TopicReading::fail_read(PartitionId partition, const Error& error) {
  owner_.on_read_failed(partition, error, errors_.insert_or_assign(partition, error).second);
  retry_at(now() + kReadAgain);
}

// ---- reading again ----

bool TopicReading::wants_again() const {
  const auto partitions = engine_.lacking();
  return std::any_of(partitions.begin(), partitions.end(),
                     [this](PartitionId partition) { return !again_.awaited.contains(partition); });
}

void TopicReading::read_again_on() {
  std::size_t reads = 0;
  for (const PartitionId partition : engine_.lacking()) {
    if (!reader_ || reads >= kReadsOfATurn) return;
    const auto from = engine_.wants_again(partition);
    if (!from || again_.awaited.contains(partition)) continue;
    ++reads;
    read_again(partition, *from);
  }
  if (reads > 0) look();
}

void TopicReading::read_again(PartitionId partition, Offset from) {
  again_.close_at.reset();
  if (!again_.reader) again_.reader = open(&TopicReading::on_news_again);
  const auto stood = again_.next.find(partition);
  if (stood == again_.next.end() || stood->second != from) metrics_.count_seek();
  again_.next.insert_or_assign(partition, from);
  auto read = again_.reader->read(partition, from, kReadBytes);
  if (!read || read->pending) {
    again_.awaited.insert(partition);
    if (!read) return fail_read(partition, read.error());
    return retry_at(now() + kAskAgain);
  }
  if (errors_.erase(partition) > 0) owner_.on_read_recovered(partition);
  metrics_.count_read(read->batch->records.size());
  const auto chunk = chunk_of(std::move(*read), from);
  again_.next.insert_or_assign(partition, chunk.next_offset);
  owner_.on_records_again(partition, chunk);
}

}  // namespace dhub::service
