// SPDX-License-Identifier: Apache-2.0
#include "wiring/server_process.h"

#include <algorithm>
#include <fmt/format.h>
#include <future>
#include <limits>
#include <optional>
#include <thread>
#include <unistd.h>
#include <utility>

#include "api/server.h"
#include "backend/local/local_backend.h"
#include "backend/local/script_checker.h"
#include "base/metrics.h"
#include "base/random.h"
#include "base/version.h"
#include "eventlog/kafka/kafka_log.h"
#include "eventlog/router/topic_router.h"
#include "loop/asio_scheduler.h"
#include "loop/loop_thread.h"
#include "service/outbox_drain.h"
#include "service/pipelines.h"
#include "service/supervisor.h"
#include "store/sqlite/store.h"
#include "wiring/clusters.h"
#include "wiring/data_directory.h"
#include "wiring/loop_pulse.h"
#include "wiring/machine_memory.h"
#include "wiring/store_metrics.h"

namespace dhub::wiring {
namespace {

constexpr Duration kRequestsGrace = std::chrono::seconds(5);  // for answers that are under way when the server ends
constexpr Duration kGiveUpWait = std::chrono::seconds(30);
constexpr Duration kOutboxGrace = std::chrono::seconds(5);  // for outputs that are on their way to other clusters
constexpr Duration kLongestSilence = std::chrono::seconds(5);

// A failed commit that is never retried and acked: what is in memory is worth nothing any more.
std::function<void(std::string)> end_process(Logger& logger) {
  return [&logger](const std::string& what) {
    logger.error("the store failed; ending at once, the next start recovers", {{"error", what}});
    ::_exit(1);
  };
}

store::StoreOptions store_options(const Config& config, Logger& logger) {
  store::StoreOptions options;
  options.data_dir = config.data;
  options.on_fatal = end_process(logger);
  options.cluster_of = [plain = config.default_cluster](const std::string& topic) {
    return eventlog::cluster_of(topic, plain);
  };
  return options;
}

using KafkaLogs = std::map<std::string, std::unique_ptr<kafka::KafkaLog>>;

Result<KafkaLogs> open_clusters(const Config& config, TopicRegistry& registry, Logger& logger) {
  KafkaLogs logs;
  for (const auto& cluster : config.clusters) {
    ASSIGN_OR_RETURN(logs[cluster.name], kafka::KafkaLog::open(kafka_options(cluster), registry, logger));
  }
  return logs;
}

eventlog::TopicRouter::Clusters clusters_of(const KafkaLogs& logs) {
  eventlog::TopicRouter::Clusters clusters;
  for (const auto& [name, log] : logs) clusters[name] = log.get();
  return clusters;
}

local::LocalOptions backend_options(const Config& config, Logger& logger) {
  local::LocalOptions options;
  // Not the path of the program: after an upgrade another version may stand there.
  options.host_program = "/proc/self/exe";
  options.work_dir = config.data + "/work";
  options.default_interpreter = config.python;
  options.log = [&logger](LogLevel level, std::string_view message, const std::vector<LogField>& fields) {
    logger.log(level, message, fields);
  };
  options.on_raw_output = [&logger](InstanceId instance, std::string_view text) {
    logger.info("a step wrote past its log",
                {{"instance", std::to_string(instance.value)}, {"text", std::string(text)}});
  };
  return options;
}

// What is left is for the server, the templates and everybody else.
std::uint64_t instance_memory(const Config& config) {
  if (config.instance_memory > 0) return config.instance_memory;
  const auto all = machine_memory();
  return all ? *all / 5 * 4 : std::numeric_limits<std::uint64_t>::max();
}

service::SupervisorOptions supervisor_options(const Config& config, service::OutputTrouble output_trouble) {
  service::SupervisorOptions options;
  options.most_instances = config.most_instances;
  options.instance_memory = instance_memory(config);
  options.output_trouble = std::move(output_trouble);
  options.cores = static_cast<std::int32_t>(std::max(1U, std::thread::hardware_concurrency()));
  options.seed = fresh_seed();
  return options;
}

api::ServerOptions server_options(const Config& config, const AdminToken& token) {
  api::ServerOptions options;
  options.host = config.host;
  options.port = config.port;
  options.admin_token = token.token;
  options.version = kVersion;
  options.metrics_public = config.metrics_public;
  options.limits.body = config.body_limit;
  options.limits.message = config.message_limit;
  options.limits.header = config.header_limit;
  options.limits.uri = config.uri_limit;
  return options;
}

}  // namespace

struct ServerProcess::Parts {
  Parts(const Config& config, Logger& log, std::unique_ptr<store::Store> opened, KafkaLogs clusters)
      : data(config.data),
        logger(log),
        store(std::move(opened)),
        kafka_logs(std::move(clusters)),
        topics(store->event_log(), clusters_of(kafka_logs), config.default_cluster, store->topic_registry()),
        scheduler(loop.io_context()),
        backend(scheduler, loop.io_context(), backend_options(config, log)),
        checker(config.python),
        supervisor(scheduler, store->catalog(), topics, store->journal(), store->run_archive(), backend, metrics,
                   logger,
                   supervisor_options(config, [this](const std::string& topic) { return output_trouble(topic); })),
        outbox_drain(scheduler, store->outbox(), topics, metrics, logger, fresh_seed()),
        pipelines(store->catalog(), checker, fresh_seed(),
                  [this](const std::string& topic) { return topics.check_cluster(topic); }),
        store_metrics(metrics),
        longest_turn(metrics.gauge("dhub_service_loop_longest_turn_seconds",
                                   "Longest turn of the service loop since the server has begun.")),
        pulse(scheduler, [this] { beat(); }) {}

  // The loop ends before anything that runs on it; requests end before the services that they ask.
  ~Parts() {
    if (api) api->stop(kRequestsGrace);
    if (server_file) remove_server_file(data);
    loop.stop();
    api.reset();
  }

  void beat() {
    store_metrics.update(store->counters(), logger.dropped());
    longest_turn.set(std::chrono::duration<double>(scheduler.turns().longest()).count());
  }

  // A start that fails after the triggers were resumed leaves the store as a clean end does.
  void give_up() {
    std::promise<void> drained;
    auto ended = drained.get_future();
    supervisor.shutdown(Duration::zero(), [&drained] { drained.set_value(); });
    if (ended.wait_for(kGiveUpWait) != std::future_status::ready) ::_exit(1);
  }

  api::Services services() {
    return {store->catalog(), topics,  store->journal(), store->run_archive(), supervisor,
            pipelines,        metrics, logger,           read_clocks,          [this] { return readiness(); }};
  }

  // Of a topic of another cluster, as a pipeline names it.
  [[nodiscard]] std::optional<Error> output_trouble(const std::string& topic) const {
    const auto name = parse_topic_name(topic);
    const std::string cluster = topics.cluster_of(topic);
    if (!name || cluster.empty()) return std::nullopt;
    return outbox_drain.trouble(cluster + '/' + name->topic);
  }

  [[nodiscard]] std::vector<api::Check> readiness() const {
    const Duration silence = pulse.silence();
    const bool alive = silence < kLongestSilence;
    std::vector<api::Check> checks{
        {"service_loop", alive,
         alive ? fmt::format("takes its turns; the longest took {}",
                             to_string(std::chrono::ceil<milliseconds>(scheduler.turns().longest())))
               : fmt::format("has not taken a turn for {}", to_string(silence))}};
    // Work may be sent here all the same: outputs are kept until their topic takes them.
    for (const auto& trouble : outbox_drain.troubles())
      checks.push_back({"outputs to " + trouble.topic, true, "wait: " + trouble.error.message});
    return checks;
  }

  const std::string data;
  Logger& logger;
  Metrics metrics;
  AdminToken token;
  bool server_file = false;
  std::unique_ptr<store::Store> store;
  KafkaLogs kafka_logs;
  eventlog::TopicRouter topics;
  loop::LoopThread loop{"service"};
  loop::AsioScheduler scheduler;
  local::LocalBackend backend;
  local::PythonScriptChecker checker;
  service::Supervisor supervisor;
  service::OutboxDrain outbox_drain;
  service::Pipelines pipelines;
  StoreMetrics store_metrics;
  Gauge& longest_turn;
  LoopPulse pulse;
  std::unique_ptr<api::Server> api;
};

ServerProcess::ServerProcess(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
ServerProcess::~ServerProcess() = default;

Result<std::unique_ptr<ServerProcess>> ServerProcess::start(const Config& config, Logger& logger) {
  ASSIGN_OR_RETURN(auto store, store::Store::open(store_options(config, logger)));
  ASSIGN_OR_RETURN(auto clusters, open_clusters(config, store->topic_registry(), logger));
  AdminToken token;
  if (config.auth) {
    ASSIGN_OR_RETURN(token, ensure_admin_token(config.data));
  }
  // Left behind by a server that was killed; from here on the directory is ours.
  remove_server_file(config.data);
  auto parts = std::make_unique<Parts>(config, logger, std::move(store), std::move(clusters));
  parts->token = std::move(token);
  parts->loop.start();
  parts->pulse.start();
  parts->supervisor.recover();
  parts->outbox_drain.when_troubles_change([supervisor = &parts->supervisor] { supervisor->outputs_changed(); });
  parts->outbox_drain.start();
  auto listening = api::Server::create(server_options(config, parts->token), parts->services());
  if (!listening) {
    parts->give_up();
    return fail(std::move(listening.error()));
  }
  parts->api = std::move(*listening);
  if (auto written = write_server_file(config.data, parts->api->url()); !written) {
    parts->give_up();
    return fail(std::move(written.error()));
  }
  parts->server_file = true;
  return std::unique_ptr<ServerProcess>(new ServerProcess(std::move(parts)));
}

const std::string& ServerProcess::url() const {
  return parts_->api->url();
}

const std::string& ServerProcess::admin_token_path() const {
  return parts_->token.path;
}

void ServerProcess::drain(Duration grace, std::function<void()> done) {
  parts_->api->drain();
  parts_->supervisor.shutdown(
      grace, [parts = parts_.get(), done = std::move(done)] { parts->outbox_drain.finish(kOutboxGrace, done); });
}

}  // namespace dhub::wiring
