// SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/sim_disk.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/check.h"

namespace dhub::simulation {

std::int64_t& count_of(OutcomeCounts& counts, FinalState state) {
  switch (state) {
    case FinalState::Filtered:
      return counts.filtered;
    case FinalState::DeadLettered:
      return counts.dead_lettered;
    case FinalState::Expired:
      return counts.expired;
    case FinalState::Skipped:
      return counts.skipped;
    case FinalState::Absent:
      return counts.absent;
    default:
      return counts.succeeded;
  }
}

void SimDisk::write(Apply apply, Order order) {
  if (at_once) {
    std::unique_lock lock(at_once_mutex_);
    const Answer answer = apply();
    lock.unlock();
    if (answer) answer();
    return;
  }
  const auto most = static_cast<std::uint64_t>(std::max<std::int64_t>(faults.most_delay.count(), 1));
  const Instant when =
      timeline_.now().mono + faults.least_delay + Duration{static_cast<std::int64_t>(random_.below(most))};
  last_write_at_ = std::max(last_write_at_, when);
  turns_.push_back(timeline_.at(last_write_at_, [this] { apply_first(); }));
  if (overtakes(order))
    queue_.push_front({std::move(apply), order});
  else
    queue_.push_back({std::move(apply), order});
}

bool SimDisk::overtakes(Order order) {
  if (order != Order::Command || !chance(faults.overtake)) return false;
  return std::none_of(queue_.begin(), queue_.end(), [](const Write& write) { return write.order == Order::Command; });
}

void SimDisk::apply_first() {
  CHECK(!queue_.empty());
  const Write first = std::move(queue_.front());
  queue_.pop_front();
  turns_.pop_front();
  if (const Answer answer = first.apply()) answer();
}

void SimDisk::settle() {
  if (chance(faults.overtake)) return;
  while (!queue_.empty()) {
    timeline_.cancel(turns_.front());
    apply_first();
  }
}

void SimDisk::crash() {
  on_append = nullptr;
  on_post = nullptr;
  const std::uint64_t applied = random_.below(queue_.size() + 1);
  for (std::uint64_t i = 0; i < applied; ++i) (void)queue_[i].apply();
  for (const auto turn : turns_) timeline_.cancel(turn);
  queue_.clear();
  turns_.clear();
}

std::vector<Placement> SimDisk::append(SimTopic& topic, const std::vector<Message>& messages) {
  std::vector<Placement> placements;
  // Those without a key go to one partition together.
  const PartitionId spread{static_cast<std::int32_t>(random_.below(topic.partitions.size()))};
  for (const auto& message : messages) {
    const auto count = static_cast<std::int32_t>(topic.partitions.size());
    const PartitionId id = message.key ? partition_of(*message.key, count) : spread;
    SimPartition& partition = topic.partitions[static_cast<std::size_t>(id.value)];
    if (chance(faults.hole)) {
      partition.holes.insert(partition.end());
      partition.records.emplace_back();
    }
    placements.push_back({id, Offset{partition.end()}});
    partition.records.emplace_back(message);
    if (message.timestamp.ms == 0) partition.records.back()->timestamp = now().wall;
  }
  std::set<PartitionId> grown;
  for (const auto& placement : placements) grown.insert(placement.partition);
  for (const PartitionId partition : grown)
    if (on_append && !lies.mute_watches) on_append(topic.topic.uid, partition);
  return placements;
}

SimTopic& SimDisk::make_topic(const std::string& name, const TopicSettings& settings) {
  const TopicUid uid{next_uid()};
  SimTopic& made = topics[uid];
  made.topic = {uid, name, settings, now().wall, {}};
  made.partitions.resize(static_cast<std::size_t>(settings.partitions));
  return made;
}

SimTopic* SimDisk::topic(const std::string& name) {
  for (auto& [uid, topic] : topics)
    if (!topic.deleted && topic.topic.name == name) return &topic;
  return nullptr;
}

SimTopic* SimDisk::topic(TopicUid uid) {
  const auto found = topics.find(uid);
  return found == topics.end() || found->second.deleted ? nullptr : &found->second;
}

SimPosition* SimDisk::position(PositionUid uid) {
  const auto found = positions.find(uid);
  if (found == positions.end() || pipeline(found->second.pipeline) == nullptr) return nullptr;
  return &found->second;
}

SimPosition* SimDisk::position(PipelineUid owner, TopicUid topic) {
  if (pipeline(owner) == nullptr) return nullptr;
  for (auto& [uid, position] : positions)
    if (position.pipeline == owner && position.topic == topic) return &position;
  return nullptr;
}

SimPipeline* SimDisk::pipeline(const std::string& id) {
  for (auto& [uid, pipeline] : pipelines)
    if (!pipeline.deleted && pipeline.id == id) return &pipeline;
  return nullptr;
}

SimPipeline* SimDisk::pipeline(PipelineUid uid) {
  const auto found = pipelines.find(uid);
  return found == pipelines.end() || found->second.deleted ? nullptr : &found->second;
}

void SimDisk::add_partition(const std::string& name) {
  SimTopic* found = topic(name);
  CHECK(found != nullptr);
  found->partitions.emplace_back();
  ++found->topic.settings.partitions;
  if (on_append) on_append(found->topic.uid, std::nullopt);
}

void SimDisk::drop_records(const std::string& name, PartitionId partition, std::int64_t start) {
  SimTopic* found = topic(name);
  CHECK(found != nullptr);
  SimPartition& dropped = found->partitions[static_cast<std::size_t>(partition.value)];
  dropped.start = std::clamp(start, dropped.start, dropped.end());
  for (std::int64_t offset = 0; offset < dropped.start; ++offset)
    dropped.records[static_cast<std::size_t>(offset)].reset();
}

}  // namespace dhub::simulation
