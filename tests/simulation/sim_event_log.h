// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ports/event_log.h"
#include "tests/simulation/sim_disk.h"

namespace dhub::simulation {

// Topics on a simulated disk, as one life of the server sees them.
class SimEventLog final : public EventLog {
 public:
  explicit SimEventLog(SimDisk& disk);
  ~SimEventLog() override;
  SimEventLog(const SimEventLog&) = delete;
  SimEventLog& operator=(const SimEventLog&) = delete;

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

  // What note_cursors has told, the last of each partition, and how often it was called.
  std::map<std::string, std::map<PartitionId, Offset>> noted;
  int notes = 0;

 private:
  struct Watchers {
    std::map<std::uint64_t, std::pair<TopicUid, OnNews>> all;
    std::uint64_t last = 0;
  };
  class SimReader;
  Result<std::vector<Placement>> apply_publish(const PublishRequest& request);

  SimDisk& disk_;
  std::shared_ptr<Watchers> watchers_;  // shared: a handle may outlive the log
};

}  // namespace dhub::simulation
