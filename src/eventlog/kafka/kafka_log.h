// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "eventlog/kafka/handle.h"
#include "ports/event_log.h"
#include "ports/topic_registry.h"

namespace dhub::kafka {

struct KafkaOptions {
  std::string cluster;    // its name in the configuration
  Properties properties;  // of librdkafka, as configured
};

// The topics of one Kafka cluster, by their names there. Topics are never made, changed or deleted here. Control calls
// and read() wait for the brokers, at most some seconds; readers, publishing, topic(uid) and note_cursors never do.
//
// Life: open() checks the settings and does not wait for a broker; from then on the cluster is looked after, and
// whatever it goes through, the log goes on by itself when it is back. Destroy it after its readers and after whoever
// holds records of it.
class KafkaLog final : public EventLog {
 public:
  // InvalidArgument names the property that librdkafka refuses.
  static Result<std::unique_ptr<KafkaLog>> open(KafkaOptions options, TopicRegistry& registry, Logger& logger);
  ~KafkaLog() override;

  Result<Topic> create_topic(const std::string& name, const TopicSettings& settings) override;
  Result<Topic> ensure_topic(const std::string& name) override;
  Result<Topic> update_topic(const std::string& name, const TopicSettings& settings) override;
  Result<Topic> topic(const std::string& name) const override;
  Result<Topic> topic(TopicUid uid) const override;
  Result<std::vector<Topic>> topics(const std::string& after, std::size_t limit) const override;
  Status delete_topic(const std::string& name) override;
  void publish(PublishRequest request, PublishDone done) override;
  Result<ReadResult> read(TopicUid topic, PartitionId partition, Offset from, std::size_t max_bytes) const override;
  [[nodiscard]] std::unique_ptr<TopicReader> open_reader(TopicUid topic, OnNews on_news) override;
  void note_cursors(TopicUid topic, const std::string& group, const std::vector<StartOffset>& cursors) override;
  Result<std::vector<StartOffset>> group_offsets(TopicUid topic, const std::string& group) const override;

 private:
  struct Parts;
  explicit KafkaLog(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace dhub::kafka
