// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <fmt/format.h>
#include <map>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include "api/server.h"

// The ports as tests of the interface want them: in memory, obedient, and telling what they were asked.
namespace dhub::api {

class FakeCatalog : public Catalog {
 public:
  std::map<std::string, std::vector<PipelineVersion>> stored;
  std::map<std::int64_t, Trigger> started;
  std::optional<Error> delete_error;
  bool discarded = false;
  bool throws = false;                     // instead of listing pipelines
  mutable std::vector<std::string> asked;  // ids of pipelines that were looked up

  PipelineVersion& add(const std::string& id, const std::string& options = R"({"event":"in"})") {
    PipelineVersion version{PipelineUid{static_cast<std::int64_t>(stored.size()) + 1},
                            id,
                            Version{1},
                            "Name of " + id,
                            "[]",
                            options,
                            "{}",
                            WallTime{1'700'000'000'000}};
    return stored[id].emplace_back(version);
  }
  void start(const std::string& id, DesiredState desired = DesiredState::Running) {
    const PipelineVersion& newest = stored.at(id).back();
    started[newest.uid.value] = {newest.uid,  id,   Generation{1},  Revision{1}, newest.version,
                                 TopicUid{1}, "in", PositionUid{7}, desired,     WallTime{1'700'000'000'000}};
  }

  Result<PipelineVersion> create_pipeline(const PipelineVersion& content) override {
    std::lock_guard lock(mutex_);
    if (stored.count(content.id) != 0) return fail(ErrorCode::AlreadyExists, "There is one already.");
    PipelineVersion version = content;
    version.uid = PipelineUid{static_cast<std::int64_t>(stored.size()) + 1};
    version.version = Version{1};
    version.created_at = WallTime{1'700'000'000'000};
    stored[content.id] = {version};
    return version;
  }
  Result<PipelineVersion> pipeline(const std::string& id, std::optional<Version> version) const override {
    std::lock_guard lock(mutex_);
    asked.push_back(id);
    const auto found = stored.find(id);
    if (found == stored.end()) return fail(ErrorCode::NotFound, fmt::format("There is no pipeline '{}'.", id));
    if (!version) return found->second.back();
    for (const auto& one : found->second)
      if (one.version == *version) return one;
    return fail(ErrorCode::NotFound, fmt::format("Pipeline '{}' has no version {}.", id, *version));
  }
  Result<PipelineVersion> pipeline(PipelineUid, Version) const override {
    return fail(ErrorCode::Internal, "not used here");
  }
  Result<std::vector<PipelineVersion>> pipelines(const std::string& after, std::size_t limit) const override {
    if (throws) throw std::runtime_error("the secret cause");
    std::vector<PipelineVersion> page;
    for (const auto& [id, versions] : stored)
      if (id > after && page.size() < limit) page.push_back(versions.back());
    return page;
  }
  Result<std::vector<PipelineVersion>> versions(const std::string& id, std::int32_t before,
                                                std::size_t limit) const override {
    std::vector<PipelineVersion> page(stored.at(id).rbegin(), stored.at(id).rend());
    std::erase_if(page, [&](const auto& one) { return before != 0 && one.version.value >= before; });
    page.resize(std::min(limit, page.size()));
    return page;
  }
  Result<PipelineVersion> put_pipeline(const std::string& id, const PipelineChange& change,
                                       std::optional<Version> if_match) override {
    std::lock_guard lock(mutex_);
    auto& versions = stored.at(id);
    PipelineVersion next = versions.back();
    if (if_match && *if_match != next.version) return fail(ErrorCode::PreconditionFailed, "It has changed.");
    if (change.name) next.name = *change.name;
    if (change.steps_json) next.steps_json = *change.steps_json;
    if (change.options_json) next.options_json = *change.options_json;
    if (change.metadata_json) next.metadata_json = *change.metadata_json;
    const auto& last = versions.back();
    const bool same = next.name == last.name && next.steps_json == last.steps_json &&
                      next.options_json == last.options_json && next.metadata_json == last.metadata_json;
    if (same) return last;
    ++next.version.value;
    versions.push_back(next);
    return next;
  }
  Status delete_pipeline(const std::string& id, bool discard, std::optional<Version> if_match) override {
    discarded = discard;
    if (delete_error) return fail(*delete_error);
    if (if_match && *if_match != stored.at(id).back().version)
      return fail(ErrorCode::PreconditionFailed, "It has changed.");
    stored.erase(id);
    return {};
  }
  void start_trigger(StartTrigger, Answer<StartedTrigger>) override {}
  void set_desired(PipelineUid, DesiredState, Answer<Trigger>) override {}
  void ask_triggers(Answer<std::vector<Trigger>>) override {}
  void ask_pipeline(PipelineUid, Version, Answer<PipelineVersion>) override {}
  Result<Trigger> trigger(PipelineUid pipeline) const override {
    const auto found = started.find(pipeline.value);
    if (found == started.end()) return fail(ErrorCode::NotFound, "It was never started.");
    return found->second;
  }
  Result<std::vector<Trigger>> triggers() const override {
    std::vector<Trigger> all;
    for (const auto& [uid, trigger] : started) all.push_back(trigger);
    return all;
  }
  Result<std::vector<StartOffset>> cursors(PipelineUid, TopicUid) const override { return std::vector<StartOffset>{}; }

 private:
  mutable std::mutex mutex_;
};

// One thread of its own answers what is published, as a store would; it can be held back.
class FakeEventLog : public EventLog {
 public:
  std::map<std::string, Topic> stored;
  std::map<std::string, std::vector<Message>> messages;  // all in partition 0
  std::vector<PublishRequest> published;
  std::optional<Error> publish_error;
  std::optional<Error> delete_error;

  ~FakeEventLog() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
  }

  Topic& add(const std::string& name, TopicSettings settings = {}) {
    Topic topic{
        TopicUid{static_cast<std::int64_t>(stored.size()) + 1}, name, settings, WallTime{1'700'000'000'000}, {}};
    for (std::int32_t i = 0; i < settings.partitions; ++i) topic.partitions.push_back({PartitionId{i}, {}, {}, 0});
    return stored[name] = topic;
  }
  // Answers of publish() and topic() wait until release().
  void hold() {
    std::lock_guard lock(mutex_);
    held_ = true;
  }
  void release() {
    std::lock_guard lock(mutex_);
    held_ = false;
    changed_.notify_all();
  }

  // Until topic() has been called so often.
  void wait_asked(int times) const {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return asked_ >= times; });
  }

  Result<Topic> create_topic(const std::string& name, const TopicSettings& settings) override {
    if (stored.count(name) != 0) return fail(ErrorCode::AlreadyExists, "There is one already.");
    return add(name, settings);
  }
  Result<Topic> ensure_topic(const std::string& name) override { return stored.count(name) ? stored[name] : add(name); }
  Result<Topic> update_topic(const std::string& name, const TopicSettings& settings) override {
    Topic& topic = stored.at(name);
    if (topic.settings.partitions != settings.partitions)
      return fail(ErrorCode::Conflict, "The number of partitions cannot be changed.");
    topic.settings = settings;
    return topic;
  }
  Result<Topic> topic(const std::string& name) const override {
    std::unique_lock lock(mutex_);
    ++asked_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return stopping_ || !held_; });
    const auto found = stored.find(name);
    if (found == stored.end()) return fail(ErrorCode::NotFound, fmt::format("There is no topic '{}'.", name));
    return found->second;
  }
  Result<Topic> topic(TopicUid) const override { return fail(ErrorCode::NotFound, "There is no such topic."); }
  Result<std::vector<Topic>> topics(const std::string& after, std::size_t limit) const override {
    std::vector<Topic> page;
    for (const auto& [name, topic] : stored)
      if (name > after && page.size() < limit) page.push_back(topic);
    return page;
  }
  Status delete_topic(const std::string& name) override {
    if (delete_error) return fail(*delete_error);
    stored.erase(name);
    return {};
  }

  void publish(PublishRequest request, PublishDone done) override {
    std::lock_guard lock(mutex_);
    queue_.emplace_back(std::move(request), std::move(done));
    changed_.notify_all();
  }
  Result<ReadResult> read(TopicUid uid, PartitionId, Offset from, std::size_t) const override {
    std::lock_guard lock(mutex_);
    auto batch = std::make_shared<RecordBatch>();
    const std::vector<Message>* all = nullptr;
    for (const auto& [name, topic] : stored)
      if (topic.uid == uid && messages.count(name) != 0) all = &messages.at(name);
    if (all == nullptr) return ReadResult{batch, from, true};
    // Two records at a time, and from one before where it was asked to: readers must cope with both.
    auto next = static_cast<std::size_t>(std::max<std::int64_t>(from.value - 1, 0));
    blocks_.clear();
    for (int n = 0; n < 3 && next < all->size(); ++n, ++next) {
      blocks_.push_back(encode_headers((*all)[next].headers));
      RecordView view = view_of((*all)[next], blocks_.back());
      view.offset = Offset{static_cast<std::int64_t>(next)};
      batch->records.push_back(view);
    }
    return ReadResult{batch, Offset{std::max(from.value, static_cast<std::int64_t>(next))}, next >= all->size()};
  }
  std::unique_ptr<TopicReader> open_reader(TopicUid, OnNews) override { return nullptr; }
  void note_cursors(TopicUid, const std::string&, const std::vector<StartOffset>&) override {}
  Result<std::vector<StartOffset>> group_offsets(TopicUid, const std::string&) const override {
    return fail(ErrorCode::Unsupported, "There are no groups.");
  }

 private:
  void serve() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [&] { return stopping_ || (!queue_.empty() && !held_); });
      if (stopping_) return;
      auto [request, done] = std::move(queue_.front());
      queue_.pop_front();
      Result<std::vector<Placement>> answer = std::vector<Placement>{};
      published.push_back(request);
      if (publish_error) {
        answer = fail(*publish_error);
      } else {
        if (stored.count(request.topic) == 0) add(request.topic);
        auto& log = messages[request.topic];
        for (const auto& message : request.messages) {
          answer->push_back({PartitionId{0}, Offset{static_cast<std::int64_t>(log.size())}});
          log.push_back(message);
        }
      }
      lock.unlock();
      done(std::move(answer));
      lock.lock();
    }
  }

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::deque<std::pair<PublishRequest, PublishDone>> queue_;
  mutable std::deque<std::string> blocks_;
  mutable int asked_ = 0;
  bool held_ = false;
  bool stopping_ = false;
  std::jthread thread_{[this] { serve(); }};
};

class FakeJournal : public Journal {
 public:
  std::vector<DeadLetter> letters;  // newest first

  void load(PositionUid, Answer<LoadedPosition>) override {}
  void commit(JournalCommitRef, CommitDone) override {}
  void add_partitions(PositionUid, OwnerEpoch, std::vector<StartOffset>, Answer<void>) override {}
  void release(PositionUid, OwnerEpoch, Answer<void>) override {}
  Result<OffsetState> state_of(PositionUid, PartitionId, Offset) const override { return OffsetState{}; }
  Result<OutcomeCounts> counts(PositionUid) const override { return OutcomeCounts{}; }
  Result<std::vector<DeadLetter>> dead_letters(PipelineUid, std::int64_t before, std::size_t limit) const override {
    std::vector<DeadLetter> page;
    for (const auto& letter : letters)
      if ((before == 0 || letter.number < before) && page.size() < limit) page.push_back(letter);
    return page;
  }
  Result<DeadLetter> dead_letter(PipelineUid, std::int64_t number) const override {
    for (const auto& letter : letters)
      if (letter.number == number) return letter;
    return fail(ErrorCode::NotFound, "There is no such dead letter.");
  }
};

class FakeRunArchive : public RunArchive {
 public:
  std::vector<ArchivedAttempt> stored;  // newest first
  mutable RunFilter asked;

  void append(std::vector<AttemptDetail>) override {}
  Result<std::vector<ArchivedAttempt>> attempts(const std::vector<PositionUid>&,
                                                const RunFilter& filter) const override {
    asked = filter;
    std::vector<ArchivedAttempt> page;
    for (const auto& attempt : stored)
      if ((filter.before == 0 || attempt.sequence < filter.before) && page.size() < filter.limit)
        page.push_back(attempt);
    return page;
  }
  Result<std::vector<ArchivedAttempt>> run(PositionUid, const RunId& run) const override {
    std::vector<ArchivedAttempt> found;
    for (auto attempt = stored.rbegin(); attempt != stored.rend(); ++attempt)
      if (attempt->detail.run == run) found.push_back(*attempt);
    return found;
  }
  void flush() override {}
};

// Answers at once on the caller's thread, or keeps the answers until they are asked for.
class FakeTriggers : public service::Triggers {
 public:
  std::map<std::string, service::TriggerStatus> known;
  mutable std::vector<std::string> calls;
  service::Started started;
  std::optional<Error> error;
  service::MessageState message;
  bool keep = false;

  void start(service::StartCommand command, Done<service::Started> done) override {
    const auto from = command.from ? std::to_string(static_cast<int>(*command.from)) : "-";
    const auto version = command.version ? std::to_string(command.version->value) : "-";
    std::string more = command.group.empty() ? "" : " group=" + command.group;
    for (const auto& start : command.offsets) more += fmt::format(" {}:{}", start.partition, start.offset);
    answer(fmt::format("start {} {} {}{}", command.pipeline_id, version, from, more), std::move(done), started);
  }
  void stop(const std::string& id, bool forget, Done<Nothing> done) override {
    answer(fmt::format("stop {} {}", id, forget), std::move(done), Nothing{});
  }
  void pause(const std::string& id, Done<Nothing> done) override { answer("pause " + id, std::move(done), Nothing{}); }
  void resume(const std::string& id, Done<Nothing> done) override {
    answer("resume " + id, std::move(done), Nothing{});
  }
  Result<service::TriggerStatus> status(const std::string& id) const override {
    note("status " + id);
    if (error) return fail(*error);
    return status_of(id);
  }
  // With `keep` it waits until it is told by answer_kept().
  Result<std::unique_ptr<Wait>> wait(const std::string& id, const std::string& seen,
                                     std::function<void()> told) override {
    note(fmt::format("wait {} {}", id, seen));
    if (error) return fail(*error);
    if (!keep) {
      told();
      return std::unique_ptr<Wait>();
    }
    std::lock_guard lock(mutex_);
    waits_[++last_wait_] = std::move(told);
    changed_.notify_all();
    return std::make_unique<FakeWait>(*this, last_wait_);
  }
  Result<std::vector<service::TriggerStatus>> list() const override {
    note("list");
    if (error) return fail(*error);
    std::vector<service::TriggerStatus> all;
    for (const auto& [id, status] : known) all.insert(all.begin(), status);  // in no order that a page could use
    return all;
  }
  void message_state(const std::string& id, PartitionId partition, Offset offset,
                     Done<service::MessageState> done) override {
    answer(fmt::format("message_state {} {} {}", id, partition, offset), std::move(done), message);
  }

  void wait_for_kept(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return kept_.size() + waits_.size() >= count; });
  }
  void wait_for_no_waits() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return waits_.empty(); });
  }
  void answer_kept() {
    for (auto& one : take_kept()) one();
    for (auto& [number, told] : take_waits()) told();
  }
  // Drops the callbacks without a call, as a loop does that stops.
  void drop_kept() { take_kept(); }

 private:
  class FakeWait : public Wait {
   public:
    FakeWait(FakeTriggers& triggers, int number) : triggers_(triggers), number_(number) {}
    ~FakeWait() override { const auto let_go = triggers_.take_wait(number_); }
    FakeWait(const FakeWait&) = delete;
    FakeWait& operator=(const FakeWait&) = delete;

   private:
    FakeTriggers& triggers_;
    int number_;
  };
  using Kept = std::vector<std::function<void()>>;
  using Waits = std::map<int, std::function<void()>>;
  void note(std::string call) const {
    std::lock_guard lock(mutex_);
    calls.push_back(std::move(call));
  }
  Waits take_waits() {
    std::lock_guard lock(mutex_);
    return std::exchange(waits_, {});
  }
  Waits::node_type take_wait(int number) {
    std::lock_guard lock(mutex_);
    auto node = waits_.extract(number);
    changed_.notify_all();
    return node;
  }
  // Calls come from several threads: this must not make an entry.
  [[nodiscard]] service::TriggerStatus status_of(const std::string& id) const {
    const auto found = known.find(id);
    return found == known.end() ? service::TriggerStatus{} : found->second;
  }
  Kept take_kept() {
    std::lock_guard lock(mutex_);
    return std::exchange(kept_, {});
  }
  template <typename T>
  void answer(std::string call, Done<T> done, T value) {
    Result<T> result = error ? Result<T>(fail(*error)) : Result<T>(std::move(value));
    std::unique_lock lock(mutex_);
    calls.push_back(std::move(call));
    if (keep) {
      kept_.push_back([done = std::move(done), result] { done(result); });
      changed_.notify_all();
      return;
    }
    lock.unlock();
    done(std::move(result));
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Kept kept_;
  Waits waits_;
  int last_wait_ = 0;
};

class FakeScriptChecker : public ScriptChecker {
 public:
  Result<std::vector<ScriptError>> check(const std::vector<Step>&, const std::string&) override {
    return std::vector<ScriptError>{};
  }
};

}  // namespace dhub::api
