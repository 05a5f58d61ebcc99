// SPDX-License-Identifier: Apache-2.0
// A real cluster keeps the promises of the port, as far as they are not about making and deleting topics.
#include "base/check.h"
#include "eventlog/kafka/test_cluster.h"
#include "tests/conformance/event_log_suite.h"

namespace dhub::conformance {
namespace {

// Makes topics where the suite expects the log to, as people do with Kafka's own tools. A test's names are its own.
class LogWithTools final : public EventLog {
 public:
  LogWithTools(kafka::TestCluster& cluster, std::string prefix, std::unique_ptr<kafka::KafkaLog> log)
      : cluster_(cluster), prefix_(std::move(prefix)), log_(std::move(log)) {}

  Result<Topic> create_topic(const std::string& name, const TopicSettings& settings) override {
    std::lock_guard lock(mutex_);
    if (auto found = topic(name); found || found.error().code != ErrorCode::NotFound)
      return found ? fail(ErrorCode::AlreadyExists, name) : std::move(found);
    cluster_.create(prefix_ + name, settings.partitions);
    auto made = topic(name);
    // A broker is asked to lead a little later than it says that the topic is made.
    const Instant until = read_clocks().mono + std::chrono::seconds(20);
    while (!made && made.error().code == ErrorCode::Unavailable && read_clocks().mono < until) made = topic(name);
    return made;
  }
  Result<Topic> ensure_topic(const std::string& name) override {
    auto made = create_topic(name, {});
    if (!made && made.error().code == ErrorCode::AlreadyExists) return topic(name);
    return made;
  }
  Result<Topic> update_topic(const std::string& name, const TopicSettings& settings) override {
    return log_->update_topic(prefix_ + name, settings);
  }
  Result<Topic> topic(const std::string& name) const override { return without_prefix(log_->topic(prefix_ + name)); }
  Result<Topic> topic(TopicUid uid) const override { return without_prefix(log_->topic(uid)); }
  Result<std::vector<Topic>> topics(const std::string& after, std::size_t limit) const override {
    ASSIGN_OR_RETURN(auto all, log_->topics(prefix_ + after, limit));
    std::vector<Topic> mine;
    for (auto& topic : all)
      if (topic.name.starts_with(prefix_)) mine.push_back(*without_prefix(std::move(topic)));
    return mine;
  }
  Status delete_topic(const std::string& name) override { return log_->delete_topic(prefix_ + name); }
  void publish(PublishRequest request, PublishDone done) override {
    if (request.create_topic && !ensure_topic(request.topic)) return done(fail(ErrorCode::Unavailable, "not made"));
    request.topic = prefix_ + request.topic;
    log_->publish(std::move(request), std::move(done));
  }
  Result<ReadResult> read(TopicUid topic, PartitionId partition, Offset from, std::size_t max_bytes) const override {
    return log_->read(topic, partition, from, max_bytes);
  }
  std::unique_ptr<TopicReader> open_reader(TopicUid topic, OnNews on_news) override {
    return log_->open_reader(topic, std::move(on_news));
  }
  void note_cursors(TopicUid topic, const std::string& group, const std::vector<StartOffset>& cursors) override {
    log_->note_cursors(topic, group, cursors);
  }
  Result<std::vector<StartOffset>> group_offsets(TopicUid topic, const std::string& group) const override {
    return log_->group_offsets(topic, group);
  }

 private:
  Result<Topic> without_prefix(Result<Topic> found) const {
    if (found) found->name = found->name.substr(prefix_.size());
    return found;
  }

  kafka::TestCluster& cluster_;
  const std::string prefix_;
  std::unique_ptr<kafka::KafkaLog> log_;
  std::mutex mutex_;
};

class KafkaHarness final : public Harness {
 public:
  KafkaHarness() { reopen(); }
  EventLog& event_log() override { return *log_; }
  Journal& journal() override { return absent<Journal>(); }
  Catalog& catalog() override { return absent<Catalog>(); }
  RunArchive& run_archive() override { return absent<RunArchive>(); }
  Outbox& outbox() override { return absent<Outbox>(); }
  TopicRegistry& topic_registry() override { return registry_; }
  [[nodiscard]] bool is_its_own_log() const override { return false; }
  void reopen() override {
    log_.reset();
    auto opened = kafka::KafkaLog::open({"main", {{"bootstrap.servers", cluster_.bootstrap()}}}, registry_, logger_);
    CHECK(opened.has_value());
    log_ = std::make_unique<LogWithTools>(cluster_, prefix_, std::move(*opened));
  }
  void advance(Duration) override { CHECK(false); }

 private:
  template <typename Port>
  static Port& absent() {
    ADD_FAILURE() << "a log of others keeps topics only";
    std::abort();
  }

  kafka::TestCluster cluster_;
  const std::string prefix_ = "conformance-" + std::to_string(fresh_seed()) + ".";
  kafka::FakeRegistry registry_;
  Logger logger_{LogFormat::Logfmt, LogLevel::Error, [](std::string_view) { return true; }};
  std::unique_ptr<LogWithTools> log_;
};

const Adapter kKafka{"kafka", [] {
                       const bool broker = std::getenv("DHUB_TEST_KAFKA") != nullptr;
                       return broker ? std::make_unique<KafkaHarness>() : nullptr;
                     }};
std::string name_of(const testing::TestParamInfo<Adapter>& adapter) {
  return adapter.param.name;
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Kafka, EventLogConformance, testing::Values(kKafka), name_of);

}  // namespace dhub::conformance
