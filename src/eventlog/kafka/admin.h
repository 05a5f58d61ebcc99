// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "eventlog/kafka/handle.h"
#include "model/topic.h"

namespace dhub::kafka {

// What the brokers say of a topic.
struct TopicDescription {
  std::string identity;  // the topic's id; empty from brokers that give none
  std::int32_t partitions = 0;
};

// What this server's user may do with a topic that it may describe.
struct TopicRights {
  bool read = true;
  bool write = true;
};

enum class LogEdge { Start, End };

struct GroupCursors {
  std::string group;
  std::string topic;
  std::vector<StartOffset> cursors;
};

struct ClusterDescription {
  std::string id;
  std::string controller;            // host:port; empty when there is none
  std::vector<std::string> brokers;  // host:port
};

// Questions to a cluster and the few changes we make to it. Thread-safe; each call waits for its answer, at most about
// `timeout`.
class Admin {
 public:
  explicit Admin(std::shared_ptr<Handle> handle, Duration timeout = std::chrono::seconds(4))
      : handle_(std::move(handle)), timeout_(timeout) {}

  using Descriptions = std::map<std::string, Result<TopicDescription>>;
  // One entry for each name, with an error of its own where there is no such topic or no right to it.
  [[nodiscard]] Result<Descriptions> describe(const std::vector<std::string>& topics) const;
  [[nodiscard]] Result<TopicDescription> describe_one(const std::string& topic) const;
  // First or next offset of each partition, as a reader of committed records sees it. Partitions that cannot be asked
  // at the moment are left out.
  using Partitions = std::vector<std::pair<std::string, PartitionId>>;
  using Offsets = std::map<std::pair<std::string, PartitionId>, Offset>;
  [[nodiscard]] Result<Offsets> offsets(const Partitions& partitions, LogEdge edge) const;
  // By name, without the cluster's own (names that begin with two underscores).
  [[nodiscard]] Result<std::vector<std::string>> topic_names() const;
  [[nodiscard]] Result<std::vector<StartOffset>> group_offsets(const std::string& group, const std::string& topic,
                                                               std::int32_t partitions) const;
  // How many members the group has at the moment; 0 also when there is no such group. Members by the protocol of Kafka
  // 4 (KIP-848) cannot be counted: they are 1.
  [[nodiscard]] Result<std::size_t> group_members(const std::string& group) const;
  // Of those that the user may describe. Brokers without rules, or too old to say, allow all.
  [[nodiscard]] Result<std::map<std::string, TopicRights>> topic_rights(const std::vector<std::string>& topics) const;
  // Whether the user may tell offsets to the group.
  [[nodiscard]] Result<bool> may_commit(const std::string& group) const;
  [[nodiscard]] Status set_group_offsets(const GroupCursors& cursors) const;
  [[nodiscard]] Result<ClusterDescription> describe_cluster() const;

 private:
  [[nodiscard]] Result<bool> has_newer_members(const std::string& group) const;

  std::shared_ptr<Handle> handle_;  // shared: with other questioners
  Duration timeout_;
};

}  // namespace dhub::kafka
