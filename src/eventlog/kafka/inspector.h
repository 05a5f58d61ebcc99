// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "eventlog/kafka/admin.h"
#include "eventlog/kafka/topic_table.h"
#include "ports/topic_registry.h"

namespace dhub::kafka {

// Looks after the topics that somebody is interested in, about once a second: are they there, are they still the same,
// how many partitions, where do those begin and end? Also tells consumer groups how far their triggers are, and does
// what else may wait for the network. Owns its thread.
class Inspector {
 public:
  // `where` names the cluster in messages.
  Inspector(std::string cluster, Admin admin, TopicTable& table, TopicRegistry& registry,
            std::function<void(LogLevel, const std::string&, std::vector<LogField>)> log);
  ~Inspector() { stop(); }
  Inspector(const Inspector&) = delete;
  Inspector& operator=(const Inspector&) = delete;

  // Before start(): what is to be done in each round, on the inspector's thread.
  void every_round(std::function<void()> task) { round_task_ = std::move(task); }
  void start();
  // Tells the groups what is still to be told, for at most a few seconds. Idempotent.
  void stop();
  // A round at once instead of in a second; listeners of the topic hear when it is done, of this partition or of all.
  void look_at(TopicUid uid, std::optional<PartitionId> partition = std::nullopt);
  // The number of the latest round that has begun; what it finds may be from before this call.
  [[nodiscard]] std::uint64_t rounds_begun() const { return rounds_; }
  // Called once: soon, on the inspector's thread, or at once with the reason why not. `bytes`: what it holds meanwhile.
  using Task = std::function<void(const Status&)>;
  void run(std::size_t bytes, Task task);
  // Dropped when another topic has the name by then.
  void note_cursors(TopicUid topic, const std::string& group, const std::vector<StartOffset>& cursors);

 private:
  struct Waiting {
    std::size_t bytes = 0;
    Task task;
  };
  // Why it may not wait; taken otherwise.
  Status queue(Waiting& task);
  void do_tasks(std::deque<Waiting> tasks);
  void loop(const std::stop_token& token);
  void inspect();
  void inspect_topics(const std::vector<ForeignTopic>& topics, std::uint64_t round);
  void take_in(const ForeignTopic& topic, const TopicDescription& description, const Admin::Offsets& starts,
               const Admin::Offsets& ends, std::uint64_t round);
  void tell_groups();
  [[nodiscard]] Error replaced(const std::string& topic) const;

  using GroupKey = std::pair<std::string, TopicUid>;
  using Cursors = std::map<PartitionId, Offset>;
  [[nodiscard]] bool tell_group(const std::string& group, const TopicStanding& topic, const Cursors& cursors);
  void tell_later(const GroupKey& key, const Cursors& cursors);

  const std::string cluster_;
  const Admin admin_;
  TopicTable& table_;
  TopicRegistry& registry_;
  const std::function<void(LogLevel, const std::string&, std::vector<LogField>)> log_;
  std::function<void()> round_task_;
  bool reachable_ = true;                // the inspector's thread
  std::map<std::string, bool> refused_;  // groups that the brokers do not let us tell, told once; its thread

  std::mutex mutex_;
  std::condition_variable_any wake_;
  bool urgent_ = false;
  std::set<std::pair<TopicUid, std::optional<PartitionId>>> waiting_;  // for the round that is asked for
  std::deque<Waiting> tasks_;
  std::size_t held_tasks_ = 0;  // with those that were taken from the queue and are not done yet
  std::size_t held_bytes_ = 0;
  bool stopped_ = false;
  std::map<GroupKey, Cursors> cursors_;  // to be told
  std::atomic<std::uint64_t> rounds_ = 0;
  std::jthread thread_;
};

}  // namespace dhub::kafka
