// SPDX-License-Identifier: Apache-2.0
#include "api/route_table.h"

#include <array>

#include "api/handlers.h"

namespace dhub::api {
namespace {

using Names = std::span<const std::string_view>;

constexpr std::array<std::string_view, 2> kPage{"limit", "token"};
constexpr std::array<std::string_view, 4> kStart{"pipeline_version", "from", "group", "dry_run"};
constexpr std::array<std::string_view, 1> kDeleteEvent{"position"};
constexpr std::array<std::string_view, 2> kStatus{"wait", "seen"};
constexpr std::array<std::string_view, 1> kGetPipeline{"version"};
constexpr std::array<std::string_view, 1> kDeletePipeline{"discard_dead_letters"};
constexpr std::array<std::string_view, 1> kPublish{"key"};
constexpr std::array<std::string_view, 4> kReadMessages{"partition", "offset", "limit", "token"};
constexpr std::array<std::string_view, 7> kRuns{"state", "key", "partition", "offset", "error", "limit", "token"};
constexpr std::array<std::string_view, 1> kReady{"verbose"};

constexpr Waits kQuick = Waits::No;
constexpr Waits kWaits = Waits::ForStore;      // milliseconds
constexpr Waits kCluster = Waits::ForCluster;  // brokers that do not answer: seconds

constexpr std::array kRoutes{
    Route{Method::Get, "/api/v1/events", Role::Viewer, kWaits, list_events, kPage, "List event triggers"},
    Route{Method::Post, "/api/v1/events/{pipeline_id}", Role::Operator, kCluster, start_event, kStart,
          "Start the event trigger of a pipeline"},
    Route{Method::Get, "/api/v1/events/{pipeline_id}", Role::Viewer, kWaits, get_event, Names{},
          "Tell whether events would be executed now"},
    Route{Method::Delete, "/api/v1/events/{pipeline_id}", Role::Operator, kWaits, delete_event, kDeleteEvent,
          "Stop and delete the event trigger"},
    Route{Method::Get, "/api/v1/events/{pipeline_id}/status", Role::Viewer, kWaits, get_event_status, kStatus,
          "Tell all about an event trigger, or wait until it changes"},
    Route{Method::Post, "/api/v1/events/{pipeline_id}/pause", Role::Operator, kWaits, pause_event, Names{},
          "Begin no more events"},
    Route{Method::Post, "/api/v1/events/{pipeline_id}/resume", Role::Operator, kWaits, resume_event, Names{},
          "Go on after a pause"},
    Route{Method::Get, "/api/v1/events/{pipeline_id}/runs", Role::Viewer, kWaits, list_runs, kRuns,
          "List the attempts of a pipeline's runs, newest first"},
    Route{Method::Get, "/api/v1/events/{pipeline_id}/runs/{run_id}", Role::Viewer, kWaits, get_run, Names{},
          "Show one run with its attempts and logs"},
    Route{Method::Get, "/api/v1/events/{pipeline_id}/messages/{partition}/{offset}", Role::Viewer, kWaits,
          get_message_state, Names{}, "Tell what became of one message"},
    Route{Method::Get, "/api/v1/events/{pipeline_id}/dead-letters", Role::Viewer, kWaits, list_dead_letters, kPage,
          "List the events that were given up, newest first"},
    Route{Method::Get, "/api/v1/events/{pipeline_id}/dead-letters/{number}", Role::Viewer, kWaits, get_dead_letter,
          Names{}, "Show one dead letter whole"},

    Route{Method::Post, "/api/v1/pipelines", Role::Admin, kWaits, create_pipeline, Names{}, "Create a pipeline"},
    Route{Method::Get, "/api/v1/pipelines", Role::Viewer, kWaits, list_pipelines, kPage, "List pipelines"},
    Route{Method::Get, "/api/v1/pipelines/{pipeline_id}", Role::Viewer, kWaits, get_pipeline, kGetPipeline,
          "Show a pipeline"},
    Route{Method::Put, "/api/v1/pipelines/{pipeline_id}", Role::Admin, kWaits, put_pipeline, Names{},
          "Store the next version of a pipeline"},
    Route{Method::Delete, "/api/v1/pipelines/{pipeline_id}", Role::Admin, kWaits, delete_pipeline, kDeletePipeline,
          "Delete a pipeline"},
    Route{Method::Get, "/api/v1/pipelines/{pipeline_id}/versions", Role::Viewer, kWaits, list_pipeline_versions, kPage,
          "List the versions of a pipeline, newest first"},

    Route{Method::Get, "/api/v1/topics", Role::Viewer, kCluster, list_topics, kPage, "List topics"},
    Route{Method::Get, "/api/v1/topics/{topic}", Role::Viewer, kCluster, get_topic, Names{}, "Show a topic"},
    Route{Method::Put, "/api/v1/topics/{topic}", Role::Admin, kCluster, put_topic, Names{},
          "Create a topic, or change its retention"},
    Route{Method::Delete, "/api/v1/topics/{topic}", Role::Admin, kCluster, delete_topic, Names{}, "Delete a topic"},
    Route{Method::Post, "/api/v1/topics/{topic}/messages", Role::Operator, kQuick, publish_messages, kPublish,
          "Publish one message, or many as lines of JSON"},
    Route{Method::Get, "/api/v1/topics/{topic}/messages", Role::Viewer, kCluster, read_messages, kReadMessages,
          "Read messages of a partition"},

    Route{Method::Get, "/healthz", Role::Public, kQuick, get_alive, Names{}, "Tell that the process is alive"},
    Route{Method::Get, "/livez", Role::Public, kQuick, get_alive, Names{}, "Tell that the process is alive"},
    Route{Method::Get, "/readyz", Role::Public, kQuick, get_ready, kReady, "Tell whether work may be sent here"},
    Route{Method::Get, "/version", Role::Viewer, kQuick, get_version, Names{}, "Tell the version of the server"},
    Route{Method::Get, "/metrics", Role::Metrics, kQuick, get_metrics, Names{}, "Show the metrics for Prometheus"},
};

}  // namespace

std::span<const Route> route_table() {
  return kRoutes;
}

}  // namespace dhub::api
