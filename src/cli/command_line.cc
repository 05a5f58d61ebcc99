// SPDX-License-Identifier: Apache-2.0
#include "cli/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <fmt/format.h>
#include <memory>
#include <optional>
#include <utility>

#include "base/suggest.h"
#include "cli/events_verbs.h"
#include "cli/pipelines_verbs.h"
#include "cli/runs_verbs.h"
#include "cli/text.h"
#include "cli/topics_verbs.h"

namespace dhub::cli {
namespace {

constexpr const char* kAbout =
    "dhub runs pipelines on the messages of topics.\n"
    "\n"
    "Examples:\n"
    "  dhub serve                                        start a server on this machine\n"
    "  dhub pipelines apply -f orders.yaml               create or change a pipeline\n"
    "  dhub events start orders --wait                   run it on each message of its topic\n"
    "  dhub topics publish orders-topic --value '{\"n\": 1}'\n"
    "  dhub runs list orders                             what became of the messages\n";

constexpr const char* kAfterwards =
    "The server is the one of --url, else DHUB_URL, else of the data directory. The token comes\n"
    "from --token-file, else DHUB_TOKEN or DHUB_TOKEN_FILE, else the data directory's admin-token.\n"
    "\n"
    "Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 not authorized, 5 conflict, 6 timed out,\n"
    "7 server unreachable, 8 run failed.\n";

// Lists a verb by the first line of its description: the rest are its examples.
class ShortListing : public CLI::Formatter {
 public:
  std::string make_subcommand(const CLI::App* verb) const override {
    const std::string about = verb->get_description();
    return fmt::format("  {:<16}{}\n", verb->get_name(), about.substr(0, about.find('\n')));
  }
};

std::string must_not_be_empty(const std::string& text) {
  return text.empty() ? "it must not be empty" : "";
}

// The words of one run of the program: each verb binds its options to a member here, and its callback says what was
// chosen. Lives for one parse.
class CommandLine {
 public:
  CommandLine() : app_(kAbout, "dhub") {
    app_.formatter(std::make_shared<ShortListing>());
    app_.footer(kAfterwards);
    app_.require_subcommand(1);
    app_.fallthrough();
    app_.set_help_flag("-h,--help", "Show this and end");
    add_client_options();
    add_server_verbs();
    add_pipelines();
    add_events();
    add_topics();
    add_runs();
    add_dead_letters_and_messages();
  }

  Invocation parse(const std::vector<std::string>& arguments) {
    try {
      app_.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    } catch (const CLI::CallForHelp&) {
      return NothingToRun{ExitCode::Ok, deepest()->help()};
    } catch (const CLI::ParseError& error) {
      return NothingToRun{ExitCode::Usage, explain(error)};
    }
    return chosen();
  }

 private:
  CLI::App* group(const std::string& name, const std::string& about) {
    CLI::App* made = app_.add_subcommand(name, about);
    made->require_subcommand(1);
    return made;
  }

  // A verb that calls a server; `run` reads the options after they are parsed.
  CLI::App* verb(CLI::App* parent, const std::string& name, const std::string& about, Verb run) {
    CLI::App* made = parent->add_subcommand(name, about);
    made->callback([this, run = std::move(run)] { verb_ = run; });
    made->footer("Options of every client verb (--url, --token-file, --data, -o, ...): dhub --help");
    return made;
  }

  static void required(CLI::App* app, const std::string& name, std::string& target, const std::string& about) {
    app->add_option(name, target, about)->required()->check(must_not_be_empty);
  }

  void limit(CLI::App* app) {
    app->add_option("--limit", limit_, "Most items to show")->capture_default_str()->check(CLI::Range(1, 1'000'000));
  }

  void add_client_options() {
    const std::string group = "Options of client verbs";
    app_.add_option("--url", client_.connection.url, "Server, such as http://127.0.0.1:8080")->group(group);
    app_.add_option("--token-file", client_.connection.token_file, "File that holds the access token")->group(group);
    app_.add_option("--data", client_.connection.data, "Data directory of a server on this machine")->group(group);
    app_.add_option("-o,--output", format_, "table, json or yaml")
        ->check(CLI::IsMember({"table", "json", "yaml"}))
        ->group(group);
    app_.add_flag("--no-headers", no_headers_, "Leave the header line of tables out")->group(group);
    app_.add_option("--request-timeout", request_timeout_, "Longest wait for one reply")
        ->capture_default_str()
        ->group(group);
  }

  void add_server_options(CLI::App* app) {
    const auto setting = [&](const char* name, const char* key, const char* about) {
      app->add_option_function<std::string>(
          name, [this, key](const std::string& text) { server_.settings[key] = text; }, about);
    };
    setting("--data", "data", "Data directory (default: ~/.local/state/dhub)");
    setting("--listen", "listen", "HOST:PORT to listen on (default: 127.0.0.1:8080; port 0 picks a free one)");
    setting("--log-format", "log.format", "logfmt or json");
    setting("--log-level", "log.level", "debug, info, warn or error");
    setting("--auth", "auth", "on (default), or off: nobody needs a token; only when listening on this machine alone");
    app->add_flag_callback(
        "--insecure-http", [this] { server_.settings["insecure_http"] = "true"; },
        "Listen beyond this machine although nothing encrypts the connections");
    app->add_option("--config", server_.config_file, "Configuration file (YAML)");
  }

  void add_server_verbs() {
    CLI::App* serve = app_.add_subcommand("serve",
                                          "Run a server\n\nExamples:\n  dhub serve\n"
                                          "  dhub serve --data /var/lib/dhub --listen 127.0.0.1:9000\n");
    add_server_options(serve);
    serve->callback([this] { other_ = ServeInvocation{server_}; });
    CLI::App* runner = app_.add_subcommand("runner", "The host of event service instances; started by the server");
    runner->group("");
    runner->add_option("--fd", descriptor_, "Descriptor of the socket to the server")->required();
    runner->callback([this] { other_ = RunnerInvocation{descriptor_}; });
    CLI::App* config = group("config", "See the configuration of a server");
    CLI::App* view =
        config->add_subcommand("view",
                               "Show each setting, its value and where it comes from\n\nExamples:\n  dhub config view\n"
                               "  dhub config view --config /etc/dhub.yaml -o yaml\n");
    add_server_options(view);
    view->callback([this] { other_ = ConfigViewInvocation{server_, {}}; });
    CLI::App* doctor =
        app_.add_subcommand("doctor",
                            "Check what a server needs on this machine, and its clusters\n\nExamples:\n  dhub doctor\n"
                            "  dhub doctor --config /etc/dhub.yaml -o json\n");
    add_server_options(doctor);
    doctor->callback([this] { other_ = DoctorInvocation{server_, {}}; });
    CLI::App* version = app_.add_subcommand("version", "Show the version of this program");
    version->callback([this] { other_ = VersionInvocation{}; });
  }

  void add_pipelines() {
    CLI::App* pipelines = group("pipelines",
                                "Pipelines: what runs on each message\n\nExamples:\n"
                                "  dhub pipelines apply -f orders.yaml\n  dhub pipelines get orders > orders.yaml\n");
    CLI::App* apply = verb(pipelines, "apply",
                           "Create or change pipelines as a file says\n\nExamples:\n"
                           "  dhub pipelines apply -f orders.yaml\n  generate | dhub pipelines apply -f -\n",
                           [this](Session& session) { return pipelines_apply(session, file_); });
    required(apply, "-f,--file", file_, "YAML (any number of documents) or JSON; - is standard input");
    limit(verb(pipelines, "list", "List pipelines",
               [this](Session& session) { return pipelines_list(session, limit_); }));
    CLI::App* get = verb(pipelines, "get",
                         "Show a pipeline, ready to be edited and applied\n\nExamples:\n  dhub pipelines get orders\n"
                         "  dhub pipelines get orders --version 2 -o json\n",
                         [this](Session& session) { return pipelines_get(session, id_, version_); });
    required(get, "ID", id_, "Pipeline");
    get->add_option("--version", version_, "This version (default: the newest)");
    CLI::App* remove =
        verb(pipelines, "delete", "Delete a pipeline; its trigger must be stopped", [this](Session& session) {
          return pipelines_delete(session, {id_, discard_dead_letters_});
        });
    required(remove, "ID", id_, "Pipeline");
    remove->add_flag("--discard-dead-letters", discard_dead_letters_, "Delete its dead letters with it");
  }

  void add_events() {
    CLI::App* events = group("events",
                             "Triggers: run a pipeline on the messages of its topic\n\nExamples:\n"
                             "  dhub events start orders --wait\n  dhub events status orders\n");
    CLI::App* start = verb(events, "start",
                           "Start a trigger, or move it to the newest version\n\nExamples:\n"
                           "  dhub events start orders --wait --timeout 30s\n"
                           "  dhub events start orders --version 2\n  dhub events start orders --from earliest\n"
                           "  dhub events start orders --group billing\n",
                           [this](Session& session) { return run_start(session); });
    required(start, "ID", start_.id, "Pipeline");
    start->add_option("--version", start_.version, "Run this version (default: the newest)");
    start->add_option("--from", start_.from,
                      "committed (default), earliest, latest, or offsets (0:123,1:45): where in the topic to begin");
    start->add_option("--group", start_.group, "Begin where this consumer group of the Kafka cluster stands");
    start->add_flag("--wait", start_.wait, "Return when events would be executed");
    start->add_option("--timeout", start_timeout_, "Longest wait with --wait")->capture_default_str();
    const auto with_id = [&](const char* name, const char* about, VerbResult (*run)(Session&, const std::string&)) {
      required(verb(events, name, about, [this, run](Session& session) { return run(session, id_); }), "ID", id_,
               "Pipeline");
    };
    with_id("status", "Show what a trigger does and why", &events_status);
    with_id("pause", "Take no further events until resumed", &events_pause);
    with_id("resume", "Go on after a pause", &events_resume);
    CLI::App* stop = verb(events, "stop", "Stop a trigger; a later start goes on where it stood",
                          [this](Session& session) { return events_stop(session, id_, forget_position_); });
    required(stop, "ID", id_, "Pipeline");
    stop->add_flag("--forget-position", forget_position_, "Forget where it stood as well");
    limit(verb(events, "list", "List triggers", [this](Session& session) { return events_list(session, limit_); }));
  }

  void add_topics() {
    CLI::App* topics = group("topics",
                             "Topics: publish and read messages\n\nExamples:\n"
                             "  dhub topics publish orders --value '{\"n\": 1}'\n  dhub topics read orders\n");
    add_publish(topics);
    CLI::App* read = verb(topics, "read",
                          "Show messages of one partition\n\nExamples:\n  dhub topics read orders --limit 10\n"
                          "  dhub topics read orders --offset 4711 -o json\n",
                          [this](Session& session) { return topics_read(session, read_); });
    required(read, "TOPIC", read_.topic, "Topic");
    read->add_option("--partition", read_.partition, "Partition")->capture_default_str()->check(CLI::NonNegativeNumber);
    read->add_option("--offset", read_.offset, "First offset")->check(CLI::NonNegativeNumber);
    read->add_option("--limit", read_.limit, "Most messages")->capture_default_str()->check(CLI::Range(1, 500));
    limit(verb(topics, "list", "List topics", [this](Session& session) { return topics_list(session, limit_); }));
    required(verb(topics, "get", "Show a topic", [this](Session& session) { return topics_get(session, id_); }),
             "TOPIC", id_, "Topic");
    CLI::App* create = verb(topics, "create",
                            "Create a topic, or change how long it keeps messages\n\nExamples:\n"
                            "  dhub topics create orders --partitions 4 --retention-age 30d\n",
                            [this](Session& session) { return topics_create(session, topic_); });
    required(create, "TOPIC", topic_.topic, "Topic");
    create->add_option("--partitions", topic_.partitions, "Partitions (fixed once created)")
        ->check(CLI::Range(1, 1000));
    create->add_option("--retention-age", topic_.retention_age, "How long messages are kept, such as 7d");
    create->add_option("--retention-bytes", topic_.retention_bytes, "Most that a partition keeps, such as 10GiB");
    required(verb(topics, "delete", "Delete a topic and its messages",
                  [this](Session& session) { return topics_delete(session, id_); }),
             "TOPIC", id_, "Topic");
  }

  void add_publish(CLI::App* topics) {
    CLI::App* publish = verb(topics, "publish",
                             "Publish messages; done when they are on disk\n\nExamples:\n"
                             "  dhub topics publish orders --key 17 --value '{\"n\": 1}'\n"
                             "  dhub topics publish photos --file cat.jpg\n"
                             "  produce | dhub topics publish orders --ndjson -\n"
                             "\n"
                             "A line of --ndjson is {\"key\", \"value\" or \"value_text\" or \"value_base64\", "
                             "\"headers\"}.\n",
                             [this](Session& session) { return run_publish(session); });
    required(publish, "TOPIC", publish_.topic, "Topic");
    publish->add_option("SOURCE", source_, "- reads standard input");
    publish->add_option("--key", publish_.key, "Key: messages of one key keep their order");
    publish->add_option("--value", publish_.value, "The message")->excludes("SOURCE");
    publish->add_option("--file", publish_.file, "File that holds the message, or the lines")
        ->excludes("--value")
        ->excludes("SOURCE");
    publish->add_flag("--ndjson", publish_.ndjson, "The input holds one message a line");
    publish->add_option("--header", publish_.headers, "name=value; may be repeated")->allow_extra_args(false);
  }

  void add_runs() {
    CLI::App* runs = group("runs",
                           "Runs: what became of events\n\nExamples:\n  dhub runs list orders --state failed\n"
                           "  dhub runs get orders 1-0-4711\n");
    CLI::App* list = verb(runs, "list", "List attempts, newest first", [this](Session& session) {
      runs_.limit = limit_;
      return runs_list(session, runs_);
    });
    required(list, "PIPELINE", runs_.pipeline, "Pipeline");
    list->add_option("--state", runs_.state, "Only those that ended so: succeeded, filtered, failed, ...");
    list->add_option("--key", runs_.key, "Only messages of this key");
    list->add_option("--error", runs_.error, "Only errors that contain this text");
    list->add_option("--partition", runs_.partition, "Only messages of this partition")->check(CLI::NonNegativeNumber);
    list->add_option("--offset", runs_.offset, "Only the message at this offset")->check(CLI::NonNegativeNumber);
    limit(list);
    CLI::App* get = verb(runs, "get", "Show a run: attempts, errors, logs",
                         [this](Session& session) { return runs_get(session, runs_.pipeline, id_); });
    required(get, "PIPELINE", runs_.pipeline, "Pipeline");
    required(get, "RUN", id_, "Run, such as 1-0-4711");
  }

  void add_dead_letters_and_messages() {
    CLI::App* letters = group("dead-letters", "Dead letters: events that were given up, kept whole");
    CLI::App* list = verb(letters, "list", "List dead letters, newest first",
                          [this](Session& session) { return dead_letters_list(session, id_, limit_); });
    required(list, "PIPELINE", id_, "Pipeline");
    limit(list);
    CLI::App* get = verb(letters, "get", "Show a dead letter with its message and errors",
                         [this](Session& session) { return dead_letters_get(session, id_, number_); });
    required(get, "PIPELINE", id_, "Pipeline");
    get->add_option("NUMBER", number_, "Its number")->required()->check(CLI::NonNegativeNumber);
    CLI::App* messages = group("messages", "Messages: what one of them is doing");
    CLI::App* message = verb(messages, "get", "Show what became of the message at an offset",
                             [this](Session& session) { return messages_get(session, id_, partition_, offset_); });
    required(message, "PIPELINE", id_, "Pipeline");
    message->add_option("PARTITION", partition_, "Partition")->required()->check(CLI::NonNegativeNumber);
    message->add_option("OFFSET", offset_, "Offset")->required()->check(CLI::NonNegativeNumber);
  }

  VerbResult run_start(Session& session) {
    const auto timeout = parse_duration(start_timeout_);
    if (!timeout) return failed(ExitCode::Usage, "--timeout", timeout.error().message);
    start_.timeout = *timeout;
    return events_start(session, start_);
  }

  VerbResult run_publish(Session& session) {
    if (!source_.empty() && source_ != "-")
      return failed(ExitCode::Usage, "not a source",
                    fmt::format("'{}' is neither an option nor -; give --value, --file or -.", source_),
                    fmt::format("dhub topics publish {} --file {}", publish_.topic, source_));
    if (source_ == "-") publish_.file = "-";
    return topics_publish(session, publish_);
  }

  [[nodiscard]] OutputFlags output() const {
    OutputFlags flags;
    flags.headers = !no_headers_;
    if (format_ == "table") flags.format = OutputFormat::Table;
    if (format_ == "json") flags.format = OutputFormat::Json;
    if (format_ == "yaml") flags.format = OutputFormat::Yaml;
    return flags;
  }

  Invocation chosen() {
    client_.output = output();
    const auto timeout = parse_duration(request_timeout_);
    if (!timeout)
      return NothingToRun{ExitCode::Usage, fmt::format("error: --request-timeout: {}\n", timeout.error().message)};
    client_.timeout = *timeout;
    if (verb_) return ClientInvocation{client_, verb_};
    if (auto* view = std::get_if<ConfigViewInvocation>(&other_)) view->output = client_.output;
    if (auto* doctor = std::get_if<DoctorInvocation>(&other_)) doctor->output = client_.output;
    if (auto* version = std::get_if<VersionInvocation>(&other_)) version->output = client_.output;
    // `dhub --data DIR serve` means what `dhub serve --data DIR` does.
    const auto adopt_data = [&](ServerFlags& flags) {
      if (!client_.connection.data.empty()) flags.settings.emplace("data", client_.connection.data);
    };
    if (auto* serve = std::get_if<ServeInvocation>(&other_)) adopt_data(serve->flags);
    if (auto* view = std::get_if<ConfigViewInvocation>(&other_)) adopt_data(view->flags);
    if (auto* doctor = std::get_if<DoctorInvocation>(&other_)) adopt_data(doctor->flags);
    return other_;
  }

  // The verb that the words led to.
  CLI::App* deepest() {
    CLI::App* at = &app_;
    while (!at->get_subcommands().empty()) at = at->get_subcommands().front();
    return at;
  }

  static std::string path_of(const CLI::App* app) {
    return app->get_parent() == nullptr ? app->get_name() : path_of(app->get_parent()) + ' ' + app->get_name();
  }

  static std::vector<std::string> verbs_of(const CLI::App* app) {
    std::vector<std::string> names;
    for (const CLI::App* verb : app->get_subcommands([](const CLI::App*) { return true; }))
      if (!verb->get_group().empty()) names.push_back(verb->get_name());
    return names;
  }

  static std::vector<std::string> options_of(const CLI::App* app) {
    std::vector<std::string> names;
    for (; app != nullptr; app = app->get_parent())
      for (const CLI::Option* option : app->get_options())
        for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    return names;
  }

  std::string explain(const CLI::ParseError& error) {
    const CLI::App* at = deepest();
    const std::string path = path_of(at);
    const std::vector<std::string> unknown = app_.remaining(true);
    const std::vector<std::string> verbs = verbs_of(at);
    std::string what = error.what();
    if (!unknown.empty()) {
      const std::string word = printable(unknown.front());
      const bool option = word.starts_with('-');
      const std::vector<std::string> known = option ? options_of(at) : verbs;
      const std::vector<std::string_view> views(known.begin(), known.end());
      const std::string bare = option ? word.substr(0, word.find('=')) : word;
      what = fmt::format("'{}' is not {} of {}", word,
                         option          ? "an option"
                         : verbs.empty() ? "an argument"
                                         : "a verb",
                         path);
      const std::string_view near = suggest(bare, views);
      if (!near.empty())
        what += fmt::format("; did you mean '{}'?", near);
      else if (!option && !verbs.empty())
        what += fmt::format("; known are: {}", fmt::join(verbs, ", "));
    } else if (!verbs.empty()) {
      what = fmt::format("{} needs a verb: {}", path, fmt::join(verbs, ", "));
    }
    return fmt::format("error: usage: {}\ntry: {} --help\n", printable(what), path);
  }

  CLI::App app_;
  Verb verb_;
  Invocation other_;
  ClientFlags client_;
  ServerFlags server_;
  std::string format_;
  bool no_headers_ = false;
  std::string request_timeout_ = "1m";
  int descriptor_ = -1;
  std::string id_;
  std::string version_;
  std::string file_;
  std::string source_;
  std::string number_;
  std::string partition_;
  std::string offset_;
  std::size_t limit_ = 50;
  bool discard_dead_letters_ = false;
  bool forget_position_ = false;
  StartOptions start_;
  std::string start_timeout_ = "1m";
  PublishOptions publish_;
  ReadOptions read_;
  TopicOptions topic_;
  RunsOptions runs_;
};

}  // namespace

Invocation parse_command_line(const std::vector<std::string>& arguments) {
  // Shared: the verb that is chosen reads its options from here when it runs, after parsing has returned.
  const auto line = std::make_shared<CommandLine>();
  Invocation invocation = line->parse(arguments);
  if (auto* client = std::get_if<ClientInvocation>(&invocation))
    client->verb = [line, verb = client->verb](Session& session) { return verb(session); };
  return invocation;
}

}  // namespace dhub::cli
