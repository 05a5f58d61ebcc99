// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/catalog.h"

#include "store/sqlite/pipeline_rows.h"
#include "store/sqlite/position_rows.h"
#include "store/sqlite/trigger_rows.h"

namespace dhub::store {

Result<PipelineVersion> StoreCatalog::create_pipeline(const PipelineVersion& content) {
  return writer_.call<PipelineVersion>(WriteKind::Control, [content](WriteContext& context) {
    return insert_pipeline(context.db, content, context.now.wall);
  });
}

Result<PipelineVersion> StoreCatalog::pipeline(const std::string& id, std::optional<Version> version) const {
  return with_reader(readers_, [&](Connection& db) { return find_pipeline(db, id, version); });
}

Result<PipelineVersion> StoreCatalog::pipeline(PipelineUid uid, Version version) const {
  return with_reader(readers_, [&](Connection& db) { return find_pipeline(db, uid, version); });
}

Result<std::vector<PipelineVersion>> StoreCatalog::pipelines(const std::string& after, std::size_t limit) const {
  return with_reader(readers_, [&](Connection& db) { return list_pipelines(db, after, limit); });
}

Result<std::vector<PipelineVersion>> StoreCatalog::versions(const std::string& id, std::int32_t before,
                                                            std::size_t limit) const {
  return with_reader(readers_, [&](Connection& db) { return list_versions(db, id, before, limit); });
}

Result<PipelineVersion> StoreCatalog::put_pipeline(const std::string& id, const PipelineChange& change,
                                                   std::optional<Version> if_match) {
  return writer_.call<PipelineVersion>(WriteKind::Control, [id, change, if_match](WriteContext& context) {
    return insert_version(context.db, id, change, if_match, context.now.wall);
  });
}

Status StoreCatalog::delete_pipeline(const std::string& id, bool discard_dead_letters,
                                     std::optional<Version> if_match) {
  const PipelineRemoval removal{id, discard_dead_letters, if_match};
  return writer_.run(WriteKind::Control, [removal](WriteContext& context) {
    return mark_pipeline_deleted(context.db, removal, context.now.wall);
  });
}

void StoreCatalog::start_trigger(StartTrigger request, Answer<StartedTrigger> done) {
  writer_.ask<StartedTrigger>(
      WriteKind::Control,
      [request = std::move(request)](WriteContext& context) {
        return start_trigger_rows(context.db, request, context.now.wall);
      },
      std::move(done));
}

void StoreCatalog::set_desired(PipelineUid pipeline, DesiredState desired, Answer<Trigger> done) {
  writer_.ask<Trigger>(
      WriteKind::Control,
      [pipeline, desired](WriteContext& context) { return set_trigger_desired(context.db, pipeline, desired); },
      std::move(done));
}

// Read on the writer's thread, so that what is read and what is written is answered in one order.
void StoreCatalog::ask_triggers(Answer<std::vector<Trigger>> done) {
  writer_.ask<std::vector<Trigger>>(
      WriteKind::Control, [](WriteContext& context) { return list_triggers(context.db); }, std::move(done));
}

void StoreCatalog::ask_pipeline(PipelineUid uid, Version version, Answer<PipelineVersion> done) {
  writer_.ask<PipelineVersion>(
      WriteKind::Control, [uid, version](WriteContext& context) { return find_pipeline(context.db, uid, version); },
      std::move(done));
}

Result<Trigger> StoreCatalog::trigger(PipelineUid pipeline) const {
  return with_reader(readers_, [&](Connection& db) { return find_trigger(db, pipeline); });
}

Result<std::vector<Trigger>> StoreCatalog::triggers() const {
  return with_reader(readers_, [](Connection& db) { return list_triggers(db); });
}

Result<std::vector<StartOffset>> StoreCatalog::cursors(PipelineUid pipeline, TopicUid topic) const {
  return with_reader(readers_, [&](Connection& db) -> Result<std::vector<StartOffset>> {
    ASSIGN_OR_RETURN(const auto position, find_position(db, pipeline, topic));
    if (!position) return std::vector<StartOffset>{};
    return cursors_of(db, position->uid);
  });
}

}  // namespace dhub::store
