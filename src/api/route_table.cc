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
    Route{"list_events", Method::Get, "/api/v1/events", Role::Viewer, kWaits, list_events, kPage,
          "List event triggers"},
    Route{"start_event", Method::Post, "/api/v1/events/{pipeline_id}", Role::Operator, kCluster, start_event, kStart,
          "Start the event trigger of a pipeline"},
    Route{"get_event", Method::Get, "/api/v1/events/{pipeline_id}", Role::Viewer, kWaits, get_event, Names{},
          "Tell whether events would be executed now"},
    Route{"delete_event", Method::Delete, "/api/v1/events/{pipeline_id}", Role::Operator, kWaits, delete_event,
          kDeleteEvent, "Stop and delete the event trigger"},
    Route{"get_event_status", Method::Get, "/api/v1/events/{pipeline_id}/status", Role::Viewer, kWaits,
          get_event_status, kStatus, "Tell all about an event trigger, or wait until it changes"},
    Route{"pause_event", Method::Post, "/api/v1/events/{pipeline_id}/pause", Role::Operator, kWaits, pause_event,
          Names{}, "Begin no more events"},
    Route{"resume_event", Method::Post, "/api/v1/events/{pipeline_id}/resume", Role::Operator, kWaits, resume_event,
          Names{}, "Go on after a pause"},
    Route{"list_runs", Method::Get, "/api/v1/events/{pipeline_id}/runs", Role::Viewer, kWaits, list_runs, kRuns,
          "List the attempts of a pipeline's runs, newest first"},
    Route{"get_run", Method::Get, "/api/v1/events/{pipeline_id}/runs/{run_id}", Role::Viewer, kWaits, get_run, Names{},
          "Show one run with its attempts and logs"},
    Route{"get_message_state", Method::Get, "/api/v1/events/{pipeline_id}/messages/{partition}/{offset}", Role::Viewer,
          kWaits, get_message_state, Names{}, "Tell what became of one message"},
    Route{"list_dead_letters", Method::Get, "/api/v1/events/{pipeline_id}/dead-letters", Role::Viewer, kWaits,
          list_dead_letters, kPage, "List the events that were given up, newest first"},
    Route{"get_dead_letter", Method::Get, "/api/v1/events/{pipeline_id}/dead-letters/{number}", Role::Viewer, kWaits,
          get_dead_letter, Names{}, "Show one dead letter whole"},

    Route{"create_pipeline", Method::Post, "/api/v1/pipelines", Role::Admin, kWaits, create_pipeline, Names{},
          "Create a pipeline"},
    Route{"list_pipelines", Method::Get, "/api/v1/pipelines", Role::Viewer, kWaits, list_pipelines, kPage,
          "List pipelines"},
    Route{"get_pipeline", Method::Get, "/api/v1/pipelines/{pipeline_id}", Role::Viewer, kWaits, get_pipeline,
          kGetPipeline, "Show a pipeline"},
    Route{"put_pipeline", Method::Put, "/api/v1/pipelines/{pipeline_id}", Role::Admin, kWaits, put_pipeline, Names{},
          "Store the next version of a pipeline"},
    Route{"delete_pipeline", Method::Delete, "/api/v1/pipelines/{pipeline_id}", Role::Admin, kWaits, delete_pipeline,
          kDeletePipeline, "Delete a pipeline"},
    Route{"list_pipeline_versions", Method::Get, "/api/v1/pipelines/{pipeline_id}/versions", Role::Viewer, kWaits,
          list_pipeline_versions, kPage, "List the versions of a pipeline, newest first"},

    Route{"list_topics", Method::Get, "/api/v1/topics", Role::Viewer, kCluster, list_topics, kPage, "List topics"},
    Route{"get_topic", Method::Get, "/api/v1/topics/{topic}", Role::Viewer, kCluster, get_topic, Names{},
          "Show a topic"},
    Route{"put_topic", Method::Put, "/api/v1/topics/{topic}", Role::Admin, kCluster, put_topic, Names{},
          "Create a topic, or change its retention"},
    Route{"delete_topic", Method::Delete, "/api/v1/topics/{topic}", Role::Admin, kCluster, delete_topic, Names{},
          "Delete a topic"},
    Route{"publish_messages", Method::Post, "/api/v1/topics/{topic}/messages", Role::Operator, kQuick, publish_messages,
          kPublish, "Publish one message, or many as lines of JSON"},
    Route{"read_messages", Method::Get, "/api/v1/topics/{topic}/messages", Role::Viewer, kCluster, read_messages,
          kReadMessages, "Read messages of a partition"},

    Route{"get_alive", Method::Get, "/healthz", Role::Public, kQuick, get_alive, Names{},
          "Tell that the process is alive"},
    Route{"get_live", Method::Get, "/livez", Role::Public, kQuick, get_alive, Names{},
          "Tell that the process is alive"},
    Route{"get_ready", Method::Get, "/readyz", Role::Public, kQuick, get_ready, kReady,
          "Tell whether work may be sent here"},
    Route{"get_version", Method::Get, "/version", Role::Viewer, kQuick, get_version, Names{},
          "Tell the version of the server"},
    Route{"get_metrics", Method::Get, "/metrics", Role::Metrics, kQuick, get_metrics, Names{},
          "Show the metrics for Prometheus"},
    Route{"get_docs", Method::Get, "/docs", Role::Public, kQuick, get_docs, Names{}, "Describe all this to people"},
    Route{"get_openapi", Method::Get, "/openapi.json", Role::Public, kQuick, get_openapi, Names{},
          "Describe all this in OpenAPI"},
};

}  // namespace

std::span<const Route> route_table() {
  return kRoutes;
}

}  // namespace dhub::api
