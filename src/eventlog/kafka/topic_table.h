// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "model/topic.h"
#include "ports/event_log.h"

namespace dhub::kafka {

// What is known of one incarnation of a topic, whatever its partitions.
struct TopicStanding {
  TopicUid uid{};
  std::string name;
  std::string identity;        // empty from brokers that give none
  std::optional<Error> error;  // why it cannot be read at the moment
  std::uint64_t round = 0;     // of the inspection that saw it last
};

struct TopicView : TopicStanding {
  std::vector<PartitionRange> partitions;
};

// The topics of a cluster that somebody reads or has asked for, as the last inspection saw them, and who wants to hear
// of news. Thread-safe. Listeners are called under the lock, so that none is under way when it is removed: they must
// only post.
class TopicTable {
 public:
  [[nodiscard]] std::optional<TopicView> find(TopicUid uid) const;
  [[nodiscard]] std::optional<TopicView> find(const std::string& name) const;  // the one that has the name now
  // Without all of its partitions, or with one: what is asked for each message costs the same however many there are.
  [[nodiscard]] std::optional<TopicStanding> standing(TopicUid uid) const;
  [[nodiscard]] std::optional<TopicStanding> standing(const std::string& name) const;
  // Fills `range` when there is such a partition.
  [[nodiscard]] std::optional<TopicStanding> standing(TopicUid uid, PartitionId partition,
                                                      std::optional<PartitionRange>& range) const;
  // Listeners hear of each partition that has another end than before, and of all at once when more than that changed.
  void put(TopicView view);
  // The partition of the topic that has the name now is known to reach up to `end`, before an inspection sees it: what
  // was just published or read counts at once.
  void raise_end(const std::string& name, PartitionId partition, Offset end);
  // Stays until a later round than `round` finds the topic in order. Listeners of the topic hear of it when the error
  // is another kind than before.
  void set_error(TopicUid uid, Error error, std::uint64_t round);

  std::uint64_t add_listener(TopicUid uid, OnNews on_news);
  void remove_listener(std::uint64_t id);
  // Of one partition, or of all.
  void notify(TopicUid uid, std::optional<PartitionId> partition);
  void notify_listener(std::uint64_t id, std::optional<PartitionId> partition);

  // Keeps a topic under inspection for a while, or for as long as it has listeners.
  void want(TopicUid uid, Instant until);
  [[nodiscard]] std::vector<TopicUid> wanted(Instant now);

 private:
  struct Listener {
    TopicUid uid{};
    OnNews on_news;
  };
  struct Known {
    TopicView view;
    std::set<PartitionId> raised;  // since the inspection that saw it last
  };
  [[nodiscard]] const TopicView* view_of(TopicUid uid) const;
  [[nodiscard]] const TopicView* view_of(const std::string& name) const;
  void notify_locked(TopicUid uid, std::optional<PartitionId> partition);

  mutable std::mutex mutex_;
  std::map<TopicUid, Known> views_;
  std::map<std::string, TopicUid> by_name_;
  std::map<std::uint64_t, Listener> listeners_;
  std::multimap<TopicUid, std::uint64_t> by_topic_;
  std::map<TopicUid, Instant> wanted_;
  std::uint64_t last_listener_ = 0;
};

}  // namespace dhub::kafka
