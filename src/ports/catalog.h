// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/ids.h"
#include "model/pipeline.h"
#include "model/topic.h"
#include "model/trigger.h"
#include "ports/answer.h"

namespace dhub {

// Content of a new version; absent parts stay as they are in the newest one.
struct PipelineChange {
  std::optional<std::string> name;
  std::optional<std::string> steps_json;
  std::optional<std::string> options_json;
  std::optional<std::string> metadata_json;
};

struct StartTrigger {
  PipelineUid pipeline{};
  Version version{};
  TopicUid topic{};
  std::optional<Topic> elsewhere;    // of a topic outside the store: what its log says of it
  std::vector<StartOffset> initial;  // for partitions that the position does not know yet
  // Not empty: begin a new pass there, even where a position exists; partitions that are not named stay where they are.
  std::vector<StartOffset> seek_to;
};

struct StartedTrigger {
  Trigger trigger;
  std::vector<StartOffset> cursors;  // where it goes on
  bool resumed = false;              // the position existed and was kept
};

// Pipelines, their versions and triggers: what users asked for. Thread-safe; every change is durable when it returns or
// answers. What a service loop needs never blocks and is answered on a thread of the catalog.
class Catalog {
 public:
  virtual ~Catalog() = default;

  // Version 1. AlreadyExists when the id is taken.
  virtual Result<PipelineVersion> create_pipeline(const PipelineVersion& content) = 0;
  // The newest version, or the given one. NotFound names what is missing.
  virtual Result<PipelineVersion> pipeline(const std::string& id, std::optional<Version> version) const = 0;
  virtual Result<PipelineVersion> pipeline(PipelineUid uid, Version version) const = 0;
  // Newest versions, by id, those after `after`.
  virtual Result<std::vector<PipelineVersion>> pipelines(const std::string& after, std::size_t limit) const = 0;
  // Newest first, those below `before` (0 = from the newest).
  virtual Result<std::vector<PipelineVersion>> versions(const std::string& id, std::int32_t before,
                                                        std::size_t limit) const = 0;
  // Stores the next version; identical content answers the newest one unchanged. PreconditionFailed when `if_match` is
  // given and is not the newest version.
  virtual Result<PipelineVersion> put_pipeline(const std::string& id, const PipelineChange& change,
                                               std::optional<Version> if_match) = 0;
  // Conflict while its trigger is not stopped, or while dead letters exist and are not to be discarded.
  virtual Status delete_pipeline(const std::string& id, bool discard_dead_letters, std::optional<Version> if_match) = 0;

  // These four never block. They are applied, and answered, in the order they were handed in.
  // Generation, pinned version, start offsets and desired state Running, in one transaction.
  virtual void start_trigger(StartTrigger request, Answer<StartedTrigger> done) = 0;
  // NotFound when it never had a trigger; Conflict when it is stopped and to be anything else: only a start begins
  // again.
  virtual void set_desired(PipelineUid pipeline, DesiredState desired, Answer<Trigger> done) = 0;
  // As triggers() and pipeline().
  virtual void ask_triggers(Answer<std::vector<Trigger>> done) = 0;
  virtual void ask_pipeline(PipelineUid uid, Version version, Answer<PipelineVersion> done) = 0;

  // NotFound when it never had a trigger.
  virtual Result<Trigger> trigger(PipelineUid pipeline) const = 0;
  // All that ever were started and whose pipeline exists, by pipeline id.
  virtual Result<std::vector<Trigger>> triggers() const = 0;
  // Where a position stands by the journal, without loading it. Empty when there is none.
  virtual Result<std::vector<StartOffset>> cursors(PipelineUid pipeline, TopicUid topic) const = 0;
};

}  // namespace dhub
