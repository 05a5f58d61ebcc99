// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <future>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ports/catalog.h"
#include "ports/event_log.h"
#include "ports/journal.h"
#include "ports/outbox.h"
#include "ports/run_archive.h"
#include "ports/topic_registry.h"

namespace dhub::conformance {

// An adapter under test, on data of its own that goes with it. A suite uses the ports that it is about, and the
// catalog where a position or a trigger has to exist.
class Harness {
 public:
  virtual ~Harness() = default;
  virtual EventLog& event_log() = 0;
  virtual Journal& journal() = 0;
  virtual Catalog& catalog() = 0;
  virtual RunArchive& run_archive() = 0;
  // Filled by the journal: a publication to "cluster/topic" goes there, one to "embedded/topic" does not.
  virtual Outbox& outbox() = 0;
  virtual TopicRegistry& topic_registry() = 0;
  // Whether calls may come from several threads at once, as the ports promise; a simulated adapter lives on one.
  [[nodiscard]] virtual bool thread_safe() const { return true; }
  // Whether topics are made, changed and deleted through the port, and a request is stored as one. A log that others
  // write to as well promises neither.
  [[nodiscard]] virtual bool is_its_own_log() const { return true; }
  // Stops the adapter in an orderly way and starts it again on the same data.
  virtual void reopen() = 0;
  // The wall clock that the adapter sees; begins at a fixed time.
  virtual void advance(Duration by) = 0;
};

struct Adapter {
  std::string name;
  std::function<std::unique_ptr<Harness>()> make;  // null: what it needs is not here
};
inline void PrintTo(const Adapter& adapter, std::ostream* out) {
  *out << adapter.name;
}

class Suite : public testing::TestWithParam<Adapter> {
 protected:
  void SetUp() override {
    harness_ = GetParam().make();
    if (!harness_) GTEST_SKIP() << "what the adapter needs is not here";
  }
  EventLog& log() { return harness_->event_log(); }
  Journal& journal() { return harness_->journal(); }
  Catalog& catalog() { return harness_->catalog(); }
  RunArchive& archive() { return harness_->run_archive(); }
  Outbox& outbox() { return harness_->outbox(); }
  TopicRegistry& registry() { return harness_->topic_registry(); }
  Harness& harness() { return *harness_; }

 private:
  std::unique_ptr<Harness> harness_;
};

inline Result<std::vector<Placement>> publish(EventLog& log, PublishRequest request) {
  std::promise<Result<std::vector<Placement>>> promise;
  auto answered = promise.get_future();
  log.publish(std::move(request),
              [&promise](Result<std::vector<Placement>> placements) { promise.set_value(std::move(placements)); });
  return answered.get();
}

inline Result<CommitAnswer> commit(Journal& journal, JournalCommit content) {
  std::promise<Result<CommitAnswer>> promise;
  auto answered = promise.get_future();
  journal.commit(std::make_shared<const JournalCommit>(std::move(content)),
                 [&promise](Result<CommitAnswer> answer) { promise.set_value(std::move(answer)); });
  return answered.get();
}

// What an adapter answers later, waited for.
template <typename T, typename F>
Result<T> answer_of(F call) {
  std::promise<Result<T>> promise;
  auto answered = promise.get_future();
  call([&promise](Result<T> answer) { promise.set_value(std::move(answer)); });
  return answered.get();
}
inline Result<LoadedPosition> load_now(Journal& journal, PositionUid position) {
  return answer_of<LoadedPosition>([&](auto done) { journal.load(position, std::move(done)); });
}
inline Status add_partitions_now(Journal& journal, PositionUid position, OwnerEpoch epoch,
                                 const std::vector<StartOffset>& fresh) {
  return answer_of<void>([&](auto done) { journal.add_partitions(position, epoch, fresh, std::move(done)); });
}
inline Status release_now(Journal& journal, PositionUid position, OwnerEpoch epoch) {
  return answer_of<void>([&](auto done) { journal.release(position, epoch, std::move(done)); });
}
inline Result<StartedTrigger> start_trigger_now(Catalog& catalog, const StartTrigger& request) {
  return answer_of<StartedTrigger>([&](auto done) { catalog.start_trigger(request, std::move(done)); });
}
inline Result<Trigger> set_desired_now(Catalog& catalog, PipelineUid pipeline, DesiredState desired) {
  return answer_of<Trigger>([&](auto done) { catalog.set_desired(pipeline, desired, std::move(done)); });
}

inline Message text(const std::string& value, std::optional<std::string> key = std::nullopt) {
  Message message;
  message.key = std::move(key);
  message.value = value;
  return message;
}

inline PublishRequest to_topic(const std::string& topic, std::vector<Message> messages) {
  PublishRequest request;
  request.topic = topic;
  request.messages = std::move(messages);
  return request;
}

// All messages of a partition from `from` on, read in pieces of `piece` bytes, offsets checked to be dense.
inline std::vector<Message> read_all(const EventLog& log, TopicUid topic, PartitionId partition = {}, Offset from = {},
                                     std::size_t piece = 1U << 20) {
  std::vector<Message> messages;
  Offset at = from;
  for (bool end = false; !end;) {
    const auto read = log.read(topic, partition, at, piece);
    if (!read) {
      ADD_FAILURE() << read.error().message;
      return messages;
    }
    for (const auto& record : read->batch->records) {
      EXPECT_EQ(record.offset.value, at.value + (&record - read->batch->records.data()));
      messages.push_back(*to_message(record));
    }
    EXPECT_TRUE(read->end_reached || !read->batch->records.empty());
    at = read->next_offset;
    end = read->end_reached;
  }
  return messages;
}

inline std::vector<std::string> values_of(const std::vector<Message>& messages) {
  std::vector<std::string> values;
  for (const auto& message : messages) values.push_back(message.value.value_or("<null>"));
  return values;
}

// A topic of another system as its log describes it: `start` and `end` of each partition.
inline Topic foreign(TopicUid uid, const std::string& name,
                     const std::vector<std::pair<std::int64_t, std::int64_t>>& parts) {
  Topic topic;
  topic.uid = uid;
  topic.name = name;
  topic.settings.partitions = static_cast<std::int32_t>(parts.size());
  for (const auto& [start, end] : parts)
    topic.partitions.push_back(
        {PartitionId{static_cast<std::int32_t>(topic.partitions.size())}, Offset{start}, Offset{end}});
  return topic;
}

inline PipelineVersion pipeline_content(const std::string& id) {
  PipelineVersion content;
  content.id = id;
  content.name = "Name of " + id;
  content.steps_json = "[]";
  content.options_json = R"({"event":"orders"})";
  content.metadata_json = "{}";
  return content;
}

// A result's error code; a success prints as a failure of the test.
template <typename T>
ErrorCode code_of(const Result<T>& result) {
  EXPECT_FALSE(result.has_value()) << "this should have been refused";
  return result ? ErrorCode::Internal : result.error().code;
}

}  // namespace dhub::conformance
