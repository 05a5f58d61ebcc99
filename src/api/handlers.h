// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "api/handler.h"
#include "model/pipeline.h"

namespace dhub::api {

// One function per operation; route_table.cc says which path it serves. Grouped by the file that holds them.

void list_events(const HandlerContext& context, const Request& request, Reply reply);
void start_event(const HandlerContext& context, const Request& request, Reply reply);
void get_event(const HandlerContext& context, const Request& request, Reply reply);
void delete_event(const HandlerContext& context, const Request& request, Reply reply);
void get_event_status(const HandlerContext& context, const Request& request, Reply reply);
void pause_event(const HandlerContext& context, const Request& request, Reply reply);
void resume_event(const HandlerContext& context, const Request& request, Reply reply);

void create_pipeline(const HandlerContext& context, const Request& request, Reply reply);
void list_pipelines(const HandlerContext& context, const Request& request, Reply reply);
void get_pipeline(const HandlerContext& context, const Request& request, Reply reply);
void put_pipeline(const HandlerContext& context, const Request& request, Reply reply);
void delete_pipeline(const HandlerContext& context, const Request& request, Reply reply);
void list_pipeline_versions(const HandlerContext& context, const Request& request, Reply reply);

void list_topics(const HandlerContext& context, const Request& request, Reply reply);
void get_topic(const HandlerContext& context, const Request& request, Reply reply);
void put_topic(const HandlerContext& context, const Request& request, Reply reply);
void delete_topic(const HandlerContext& context, const Request& request, Reply reply);

void publish_messages(const HandlerContext& context, const Request& request, Reply reply);
void read_messages(const HandlerContext& context, const Request& request, Reply reply);

void list_runs(const HandlerContext& context, const Request& request, Reply reply);
void get_run(const HandlerContext& context, const Request& request, Reply reply);
void get_message_state(const HandlerContext& context, const Request& request, Reply reply);

void list_dead_letters(const HandlerContext& context, const Request& request, Reply reply);
void get_dead_letter(const HandlerContext& context, const Request& request, Reply reply);

void get_alive(const HandlerContext& context, const Request& request, Reply reply);
void get_ready(const HandlerContext& context, const Request& request, Reply reply);
void get_version(const HandlerContext& context, const Request& request, Reply reply);
void get_metrics(const HandlerContext& context, const Request& request, Reply reply);
void get_docs(const HandlerContext& context, const Request& request, Reply reply);
void get_openapi(const HandlerContext& context, const Request& request, Reply reply);

// What several of them share.

// The newest version of the pipeline that the path names. NotFound, also when the path holds what cannot be a
// pipeline's id: it never reaches the store.
[[nodiscard]] Result<PipelineVersion> find_pipeline(const HandlerContext& context, const Request& request);
// The version that the parameter asks for, which `version` is then, or the newest when it is absent.
[[nodiscard]] Result<PipelineVersion> find_version(const HandlerContext& context, const Request& request,
                                                   std::string_view parameter, std::optional<Version>& version);
// The topic that the path names; NotFound as above.
[[nodiscard]] Result<Topic> find_topic(const HandlerContext& context, const Request& request);
// "1", "2", ...; nothing for any other text.
[[nodiscard]] std::optional<Version> parse_version(std::string_view text);
// Names that came from outside, as a message may show them: printable and short.
[[nodiscard]] std::string shown(std::string_view name);

// A callback that has to be copyable, as std::function wants it, around a Reply, which cannot be copied.
template <typename Work>
[[nodiscard]] auto answering(Reply reply, Work work) {
  return [reply = std::make_shared<Reply>(std::move(reply)), work = std::move(work)](auto result) mutable {
    // Moved out first: the copy that std::function keeps must not answer again when it is destroyed.
    Reply once = std::move(*reply);
    once.later([result = std::move(result), work]() mutable -> Response {
      if (!result) return error_response(result.error());
      return work(*result);
    });
  };
}

}  // namespace dhub::api
