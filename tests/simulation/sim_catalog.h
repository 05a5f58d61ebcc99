// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ports/catalog.h"
#include "tests/simulation/sim_disk.h"

namespace dhub::simulation {

// Pipelines and triggers on a simulated disk.
class SimCatalog final : public Catalog {
 public:
  explicit SimCatalog(SimDisk& disk) : disk_(disk) {}

  Result<PipelineVersion> create_pipeline(const PipelineVersion& content) override;
  Result<PipelineVersion> pipeline(const std::string& id, std::optional<Version> version) const override;
  Result<PipelineVersion> pipeline(PipelineUid uid, Version version) const override;
  Result<std::vector<PipelineVersion>> pipelines(const std::string& after, std::size_t limit) const override;
  Result<std::vector<PipelineVersion>> versions(const std::string& id, std::int32_t before,
                                                std::size_t limit) const override;
  Result<PipelineVersion> put_pipeline(const std::string& id, const PipelineChange& change,
                                       std::optional<Version> if_match) override;
  Status delete_pipeline(const std::string& id, bool discard_dead_letters, std::optional<Version> if_match) override;
  void start_trigger(StartTrigger request, Answer<StartedTrigger> done) override;
  void set_desired(PipelineUid pipeline, DesiredState desired, Answer<Trigger> done) override;
  void ask_triggers(Answer<std::vector<Trigger>> done) override;
  void ask_pipeline(PipelineUid uid, Version version, Answer<PipelineVersion> done) override;
  Result<Trigger> trigger(PipelineUid pipeline) const override;
  Result<std::vector<Trigger>> triggers() const override;
  Result<std::vector<StartOffset>> cursors(PipelineUid pipeline, TopicUid topic) const override;

 private:
  Result<StartedTrigger> start_now(const StartTrigger& request);
  Result<Trigger> set_desired_now(PipelineUid pipeline, DesiredState desired);
  Result<Topic> topic_of(const StartTrigger& request);

  SimDisk& disk_;
};

}  // namespace dhub::simulation
