// SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/sim_event_log.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace dhub::simulation {
namespace {

constexpr std::int64_t kRememberedMs = 24LL * 60 * 60 * 1000;

Topic described(const SimTopic& topic) {
  Topic answer = topic.topic;
  for (std::size_t i = 0; i < topic.partitions.size(); ++i) {
    const SimPartition& partition = topic.partitions[i];
    std::uint64_t bytes = 0;
    for (const auto& record : partition.records)
      if (record) bytes += record->value.value_or("").size();
    answer.partitions.push_back(
        {PartitionId{static_cast<std::int32_t>(i)}, Offset{partition.start}, Offset{partition.end()}, bytes});
  }
  return answer;
}

tl::unexpected<Error> no_topic(const std::string& name) {
  return fail(ErrorCode::NotFound, fmt::format("There is no topic '{}'.", name));
}

// A batch of its own for each read: the views point into its buffer, which must not move any more.
RecordBatchRef batch_of(const SimPartition& partition, std::int64_t from, std::int64_t until) {
  struct Place {
    std::int64_t offset = 0;
    std::size_t key = 0, headers = 0, value = 0, end = 0;
  };
  auto batch = std::make_shared<RecordBatch>();
  std::vector<Place> places;
  for (std::int64_t offset = from; offset < until; ++offset) {
    const auto& record = partition.records[static_cast<std::size_t>(offset)];
    if (!record) continue;
    Place place{offset, batch->buffer.size()};
    batch->buffer += record->key.value_or("");
    place.headers = batch->buffer.size();
    batch->buffer += encode_headers(record->headers);
    place.value = batch->buffer.size();
    batch->buffer += record->value.value_or("");
    place.end = batch->buffer.size();
    places.push_back(place);
  }
  const std::string_view bytes = batch->buffer;
  for (const auto& place : places) {
    const auto& record = *partition.records[static_cast<std::size_t>(place.offset)];
    RecordView view;
    view.offset = Offset{place.offset};
    view.timestamp = record.timestamp;
    if (record.key) view.key = bytes.substr(place.key, place.headers - place.key);
    view.headers = bytes.substr(place.headers, place.value - place.headers);
    if (record.value) view.value = bytes.substr(place.value, place.end - place.value);
    batch->records.push_back(view);
  }
  return batch;
}

}  // namespace

class SimEventLog::SimReader final : public TopicReader {
 public:
  SimReader(const SimEventLog& log, TopicUid topic, std::uint64_t id)
      : log_(log), topic_(topic), watchers_(log.watchers_), id_(id) {}
  ~SimReader() override { watchers_->all.erase(id_); }

  Result<ReadResult> read(PartitionId partition, Offset from, std::size_t max_bytes) override {
    return read_or_wait({partition, from}, max_bytes);
  }

 private:
  struct Wanted {
    PartitionId partition;
    Offset from;
    auto operator<=>(const Wanted&) const = default;
  };

  Result<ReadResult> read_or_wait(const Wanted& wanted, std::size_t max_bytes) {
    auto read = log_.read(topic_, wanted.partition, wanted.from, max_bytes);
    if (!read || read->batch->records.empty()) return read;
    const auto asked = has_come_.find(wanted);
    if (asked == has_come_.end() ? !log_.disk_.chance(log_.disk_.reads_later) : asked->second) {
      has_come_.erase(wanted);
      return read;
    }
    if (asked == has_come_.end()) bring(wanted);
    return ReadResult{std::make_shared<RecordBatch>(), wanted.from, false, true};
  }
  void bring(const Wanted& wanted) {
    has_come_[wanted] = false;
    const bool untold = log_.disk_.chance(log_.disk_.faults.untold_arrival);
    log_.disk_.later([this, wanted, untold, id = id_, watchers = watchers_] {
      const auto there = watchers->all.find(id);
      if (there == watchers->all.end()) return;  // and so are we not
      has_come_[wanted] = true;
      if (!untold) there->second.second(wanted.partition);
    });
  }

  std::map<Wanted, bool> has_come_;  // what was asked for and is not read
  const SimEventLog& log_;
  const TopicUid topic_;
  const std::shared_ptr<Watchers> watchers_;
  const std::uint64_t id_;
};

SimEventLog::SimEventLog(SimDisk& disk) : disk_(disk), watchers_(std::make_shared<Watchers>()) {
  disk_.on_append = [watchers = watchers_](TopicUid topic, std::optional<PartitionId> partition) {
    for (const auto& [id, watcher] : watchers->all)
      if (watcher.first == topic) watcher.second(partition);
  };
}

SimEventLog::~SimEventLog() {
  disk_.on_append = nullptr;
}

Result<Topic> SimEventLog::create_topic(const std::string& name, const TopicSettings& settings) {
  RETURN_IF_ERROR(validate_topic_name(name));
  RETURN_IF_ERROR(validate(settings));
  disk_.settle();
  if (disk_.topic(name) != nullptr)
    return fail(ErrorCode::AlreadyExists, fmt::format("Topic '{}' exists already.", name));
  return described(disk_.make_topic(name, settings));
}

Result<Topic> SimEventLog::ensure_topic(const std::string& name) {
  RETURN_IF_ERROR(validate_topic_name(name));
  disk_.settle();
  if (disk_.faults.refuse_catalog) return fail(*disk_.faults.refuse_catalog);
  if (const SimTopic* found = disk_.topic(name)) return described(*found);
  return described(disk_.make_topic(name, {}));
}

Result<Topic> SimEventLog::update_topic(const std::string& name, const TopicSettings& settings) {
  RETURN_IF_ERROR(validate(settings));
  disk_.settle();
  SimTopic* found = disk_.topic(name);
  if (found == nullptr) return no_topic(name);
  if (found->topic.settings.partitions != settings.partitions)
    return fail(ErrorCode::Conflict, fmt::format("Topic '{}' has another number of partitions.", name));
  found->topic.settings = settings;
  return described(*found);
}

Result<Topic> SimEventLog::topic(const std::string& name) const {
  const SimTopic* found = disk_.topic(name);
  if (found == nullptr) return no_topic(name);
  return described(*found);
}

Result<Topic> SimEventLog::topic(TopicUid uid) const {
  if (disk_.faults.refuse_topic) return fail(*disk_.faults.refuse_topic);
  const SimTopic* found = disk_.topic(uid);
  if (found == nullptr) return no_topic(fmt::format("#{}", uid));
  return described(*found);
}

Result<std::vector<Topic>> SimEventLog::topics(const std::string& after, std::size_t limit) const {
  std::map<std::string, const SimTopic*> by_name;
  for (const auto& [uid, topic] : disk_.topics)
    if (!topic.deleted && topic.topic.name > after) by_name[topic.topic.name] = &topic;
  std::vector<Topic> answer;
  for (const auto& [name, topic] : by_name)
    if (answer.size() < limit) answer.push_back(described(*topic));
  return answer;
}

Status SimEventLog::delete_topic(const std::string& name) {
  disk_.settle();
  SimTopic* found = disk_.topic(name);
  if (found == nullptr) return no_topic(name);
  for (const auto& [uid, pipeline] : disk_.pipelines)
    if (!pipeline.deleted && pipeline.trigger && pipeline.trigger->topic == found->topic.uid &&
        pipeline.trigger->desired != DesiredState::Stopped)
      return fail(ErrorCode::Conflict, fmt::format("Pipeline '{}' listens on topic '{}'.", pipeline.id, name));
  found->deleted = true;
  return {};
}

void SimEventLog::publish(PublishRequest request, PublishDone done) {
  disk_.write([this, request = std::move(request), done = std::move(done)]() -> SimDisk::Answer {
    auto placed = apply_publish(request);
    return [done, placed = std::move(placed)] { done(placed); };
  });
}

Result<std::vector<Placement>> SimEventLog::apply_publish(const PublishRequest& request) {
  if (disk_.faults.refuse_publishes) return fail(*disk_.faults.refuse_publishes);
  RETURN_IF_ERROR(validate_topic_name(request.topic));
  for (const auto& message : request.messages)
    for (const auto& header : message.headers)
      if (header.name.size() > 0xffff) return fail(ErrorCode::InvalidArgument, "A header name is too long.");
  SimTopic* found = disk_.topic(request.topic);
  if (found == nullptr && !request.create_topic) return no_topic(request.topic);
  if (found == nullptr) found = &disk_.make_topic(request.topic, {});
  if (!request.idempotency_key.empty())
    if (const auto known = found->idempotency.find(request.idempotency_key);
        known != found->idempotency.end() && disk_.now().wall.ms - known->second.at.ms < kRememberedMs) {
      if (known->second.messages == request.messages) return known->second.placements;
      return fail(ErrorCode::Conflict, "The idempotency key was used for other messages.");
    }
  auto placed = disk_.append(*found, request.messages);
  for (std::size_t i = 1; disk_.lies.forget_messages && i < placed.size(); i += 2)
    found->partitions[static_cast<std::size_t>(placed[i].partition.value)]
        .records[static_cast<std::size_t>(placed[i].offset.value)]
        .reset();
  if (!request.idempotency_key.empty())
    found->idempotency[request.idempotency_key] = {request.messages, placed, disk_.now().wall};
  return placed;
}

Result<ReadResult> SimEventLog::read(TopicUid topic, PartitionId partition, Offset from, std::size_t max_bytes) const {
  if (disk_.faults.refuse_reads) return fail(*disk_.faults.refuse_reads);
  if (disk_.chance(disk_.faults.refuse_read)) return fail(ErrorCode::Unavailable, "The disk cannot be read.");
  SimTopic* found = disk_.topic(topic);
  if (found == nullptr || partition.value < 0 || static_cast<std::size_t>(partition.value) >= found->partitions.size())
    return no_topic(fmt::format("#{}/{}", topic, partition));
  const SimPartition& source = found->partitions[static_cast<std::size_t>(partition.value)];
  std::int64_t begin = std::max(from.value, source.start);
  std::int64_t until = begin;
  std::size_t bytes = 0;
  for (; until < source.end() && bytes < max_bytes; ++until) {
    const auto& record = source.records[static_cast<std::size_t>(until)];
    if (record) bytes += record->value.value_or("").size() + record->key.value_or("").size() + 32;
  }
  if (until > begin && disk_.chance(disk_.lies.skip_record)) ++begin;
  return ReadResult{batch_of(source, begin, until), Offset{until},       until >= source.end(), false,
                    Offset{source.start},           Offset{source.end()}};
}

std::unique_ptr<TopicReader> SimEventLog::open_reader(TopicUid topic, OnNews on_news) {
  const std::uint64_t id = ++watchers_->last;
  watchers_->all[id] = {topic, std::move(on_news)};
  return std::make_unique<SimReader>(*this, topic, id);
}

void SimEventLog::note_cursors(TopicUid topic, const std::string& group, const std::vector<StartOffset>& cursors) {
  ++notes;
  for (const auto& cursor : cursors) {
    noted[group][cursor.partition] = cursor.offset;
    disk_.observer().noted(topic, group, cursor);
  }
}

Result<std::vector<StartOffset>> SimEventLog::group_offsets(TopicUid topic, const std::string& group) const {
  const auto found = disk_.groups.find(topic);
  if (found == disk_.groups.end()) return fail(ErrorCode::InvalidArgument, "The topic's log has no consumer groups.");
  const auto offsets = found->second.find(group);
  return offsets == found->second.end() ? std::vector<StartOffset>{} : offsets->second;
}

}  // namespace dhub::simulation
