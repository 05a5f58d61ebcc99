// SPDX-License-Identifier: Apache-2.0
#include "eventlog/kafka/inspector.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace dhub::kafka {
namespace {

constexpr Duration kRound = std::chrono::seconds(1);
constexpr std::size_t kMostGroups = 10'000;  // that wait to be told; a group is its pipeline's, so there is an end
// Publishes to topics that nobody has looked up: each question may take seconds while brokers are away.
constexpr std::size_t kMostTasks = 1000;
constexpr std::size_t kMostTaskBytes = 64U << 20;
constexpr Duration kTelling = std::chrono::seconds(2);  // groups whose brokers do not answer, in one round

}  // namespace

Inspector::Inspector(std::string cluster, Admin admin, TopicTable& table, TopicRegistry& registry,
                     std::function<void(LogLevel, const std::string&, std::vector<LogField>)> log)
    : cluster_(std::move(cluster)),
      admin_(std::move(admin)),
      table_(table),
      registry_(registry),
      log_(std::move(log)) {}

void Inspector::start() {
  thread_ = std::jthread([this](const std::stop_token& token) { loop(token); });
}

void Inspector::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

void Inspector::look_at(TopicUid uid, std::optional<PartitionId> partition) {
  std::lock_guard lock(mutex_);
  urgent_ = true;
  waiting_.emplace(uid, partition);
  wake_.notify_one();
}

void Inspector::run(std::size_t bytes, Task task) {
  Waiting waiting{bytes, std::move(task)};
  if (const Status queued = queue(waiting); !queued) waiting.task(queued);
}

Status Inspector::queue(Waiting& task) {
  std::lock_guard lock(mutex_);
  if (stopped_) return fail(ErrorCode::Cancelled, "The server is stopping; publish again when it is back.");
  const bool full = held_tasks_ >= kMostTasks || (held_tasks_ > 0 && held_bytes_ + task.bytes > kMostTaskBytes);
  if (full)
    return fail(ErrorCode::Unavailable,
                fmt::format("Too many requests wait for the Kafka cluster '{}'; try again in a moment.", cluster_));
  ++held_tasks_;
  held_bytes_ += task.bytes;
  tasks_.push_back(std::move(task));
  wake_.notify_one();
  return {};
}

void Inspector::do_tasks(std::deque<Waiting> tasks) {
  while (!tasks.empty()) {
    tasks.front().task(Status());
    const std::size_t bytes = tasks.front().bytes;
    tasks.pop_front();  // what it held goes before another may come
    std::lock_guard lock(mutex_);
    --held_tasks_;
    held_bytes_ -= bytes;
  }
}

void Inspector::note_cursors(TopicUid topic, const std::string& group, const std::vector<StartOffset>& cursors) {
  std::lock_guard lock(mutex_);
  if (cursors_.size() >= kMostGroups && !cursors_.contains({group, topic})) return;
  Cursors& kept = cursors_[{group, topic}];
  for (const auto& cursor : cursors) kept[cursor.partition] = cursor.offset;
}

void Inspector::loop(const std::stop_token& token) {
  Instant next = read_clocks().mono;
  while (!token.stop_requested()) {
    std::deque<Waiting> tasks;
    std::set<std::pair<TopicUid, std::optional<PartitionId>>> waiting;
    bool round = false;
    {
      std::unique_lock lock(mutex_);
      wake_.wait_until(lock, token, std::chrono::steady_clock::time_point(next),
                       [&] { return urgent_ || !tasks_.empty(); });
      tasks.swap(tasks_);
      round = std::exchange(urgent_, false) || read_clocks().mono >= next;
      if (round) waiting.swap(waiting_);
    }
    do_tasks(std::move(tasks));
    if (!round || token.stop_requested()) continue;
    if (round_task_) round_task_();
    inspect();
    for (const auto& [uid, partition] : waiting) table_.notify(uid, partition);
    tell_groups();
    next = read_clocks().mono + kRound;
  }
  tell_groups();
  std::deque<Waiting> left;
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    left.swap(tasks_);
  }
  do_tasks(std::move(left));  // somebody waits for their answers
}

void Inspector::inspect() {
  const std::uint64_t round = ++rounds_;
  std::vector<ForeignTopic> topics;
  for (const TopicUid uid : table_.wanted(read_clocks().mono))
    if (auto topic = registry_.foreign_topic(uid)) topics.push_back(std::move(*topic));
  if (!topics.empty()) inspect_topics(topics, round);
}

void Inspector::inspect_topics(const std::vector<ForeignTopic>& topics, std::uint64_t round) {
  std::vector<std::string> names;
  for (const auto& topic : topics) names.push_back(topic.name);
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  const auto described = admin_.describe(names);
  Admin::Partitions partitions;
  if (described)
    for (const auto& [name, description] : *described)
      if (description)
        for (std::int32_t i = 0; i < description->partitions; ++i) partitions.emplace_back(name, PartitionId{i});
  const auto ends = described ? admin_.offsets(partitions, LogEdge::End) : fail(described.error());
  const auto starts = ends ? admin_.offsets(partitions, LogEdge::Start) : fail(ends.error());
  if (std::exchange(reachable_, starts.has_value()) != starts.has_value())
    log_(reachable_ ? LogLevel::Info : LogLevel::Error,
         reachable_ ? "the Kafka cluster can be reached again" : "the Kafka cluster cannot be reached",
         {{"cluster", cluster_}, {"error", starts ? "" : starts.error().message}});
  for (const auto& topic : topics) {
    if (!starts) {
      table_.set_error(topic.uid, starts.error(), round);
      continue;
    }
    const auto found = described->find(topic.name);
    if (found == described->end())
      table_.set_error(topic.uid, Error{ErrorCode::NotFound, fmt::format("Topic '{}' is gone.", topic.name)}, round);
    else if (!found->second)
      table_.set_error(topic.uid, found->second.error(), round);
    else
      take_in(topic, *found->second, *starts, *ends, round);
  }
}

void Inspector::take_in(const ForeignTopic& topic, const TopicDescription& description, const Admin::Offsets& starts,
                        const Admin::Offsets& ends, std::uint64_t round) {
  if (description.identity != topic.identity) return table_.set_error(topic.uid, replaced(topic.name), round);
  const auto before = table_.find(topic.uid);
  TopicView view;
  view.uid = topic.uid;
  view.name = topic.name;
  view.identity = topic.identity;
  view.round = round;
  for (std::int32_t i = 0; i < description.partitions; ++i) {
    PartitionRange range{PartitionId{i}};
    if (before && static_cast<std::size_t>(i) < before->partitions.size())
      range = before->partitions[static_cast<std::size_t>(i)];
    // A partition without a leader at the moment keeps what was known of it.
    if (const auto start = starts.find({topic.name, range.partition}); start != starts.end())
      range.start = start->second;
    if (const auto end = ends.find({topic.name, range.partition}); end != ends.end()) range.end = end->second;
    view.partitions.push_back(range);
  }
  table_.put(std::move(view));
}

Error Inspector::replaced(const std::string& topic) const {
  return Error{ErrorCode::Conflict,
               fmt::format("Topic '{}' of cluster '{}' was deleted and made again: it is another topic now. Start the "
                           "trigger again to listen on it.",
                           topic, cluster_)};
}

void Inspector::tell_groups() {
  if (!reachable_) return;
  std::map<GroupKey, Cursors> cursors;
  {
    std::lock_guard lock(mutex_);
    cursors.swap(cursors_);
  }
  // Those that failed last time come last, and not all in one round: who does not answer keeps nobody waiting.
  std::vector<std::pair<GroupKey, Cursors>> telling(cursors.begin(), cursors.end());
  std::stable_partition(telling.begin(), telling.end(),
                        [this](const auto& entry) { return !refused_[entry.first.first]; });
  const Instant until = read_clocks().mono + kTelling;
  bool late = false;
  for (const auto& [key, offsets] : telling) {
    if (late) {
      tell_later(key, offsets);
      continue;
    }
    const auto& [group, uid] = key;
    const auto view = table_.standing(uid);
    const auto named = view ? table_.standing(view->name) : std::nullopt;
    // The offsets of one topic would lie about another.
    if (!named || named->uid != uid || (view->error && view->error->code == ErrorCode::Conflict)) continue;
    late = !tell_group(group, *view, offsets) && read_clocks().mono > until;
  }
}

// In the next round; what was noted meanwhile is newer.
void Inspector::tell_later(const GroupKey& key, const Cursors& cursors) {
  std::lock_guard lock(mutex_);
  cursors_[key].insert(cursors.begin(), cursors.end());
}

bool Inspector::tell_group(const std::string& group, const TopicStanding& topic, const Cursors& cursors) {
  GroupCursors told_of{group, topic.name, {}};
  for (const auto& [partition, offset] : cursors) told_of.cursors.push_back({partition, offset});
  const Status told = admin_.set_group_offsets(told_of);
  // Where consumers read themselves their offsets are newer by the time they leave; the next cursor is told again.
  if (!told && told.error().code != ErrorCode::Conflict) tell_later({group, topic.uid}, cursors);
  if (std::exchange(refused_[group], !told) == !told) return told.has_value();
  log_(told ? LogLevel::Info : LogLevel::Warn,
       told ? "the consumer group's offsets are stored again" : "the consumer group's offsets are not stored",
       {{"cluster", cluster_}, {"group", group}, {"error", told ? "" : told.error().message}});
  return told.has_value();
}

}  // namespace dhub::kafka
