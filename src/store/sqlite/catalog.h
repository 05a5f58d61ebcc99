// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ports/catalog.h"
#include "store/sqlite/readers.h"
#include "store/sqlite/writer.h"

namespace dhub::store {

// Pipelines and triggers in the embedded store.
class StoreCatalog : public Catalog {
 public:
  StoreCatalog(Writer& writer, Readers& readers) : writer_(writer), readers_(readers) {}

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
  Writer& writer_;
  Readers& readers_;
};

}  // namespace dhub::store
