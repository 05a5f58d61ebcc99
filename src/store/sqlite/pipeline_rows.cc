// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/pipeline_rows.h"

#include <fmt/format.h>
#include <limits>

#include "model/trigger.h"

namespace dhub::store {
namespace {

#define DHUB_VERSION_SELECT                                                                                  \
  "SELECT p.uid, p.id, v.version, v.name, v.steps_json, v.options_json, v.metadata_json, v.created_ms FROM " \
  "pipelines p JOIN pipeline_versions v ON v.pipeline_uid=p.uid WHERE p.namespace=0 AND p.deleted_ms IS NULL "

PipelineVersion version_of(const Query& row) {
  PipelineVersion version;
  version.uid = PipelineUid{row.integer(0)};
  version.id = std::string(row.text(1));
  version.version = Version{row.small(2)};
  version.name = std::string(row.text(3));
  version.steps_json = std::string(row.text(4));
  version.options_json = std::string(row.text(5));
  version.metadata_json = std::string(row.text(6));
  version.created_at = WallTime{row.integer(7)};
  return version;
}

Result<PipelineVersion> only_version(Query row, const std::string& what) {
  if (row.next()) return version_of(row);
  RETURN_IF_ERROR(row.status());
  return fail(ErrorCode::NotFound, fmt::format("There is no {}.", what));
}

Result<std::vector<PipelineVersion>> all_versions(Query row) {
  std::vector<PipelineVersion> versions;
  while (row.next()) versions.push_back(version_of(row));
  RETURN_IF_ERROR(row.status());
  return versions;
}

Status put_version(Connection& db, const PipelineVersion& content, WallTime now) {
  return db.run(
      "INSERT INTO pipeline_versions (pipeline_uid, version, name, steps_json, options_json, metadata_json, "
      "created_ms) VALUES (?,?,?,?,?,?,?)",
      content.uid, content.version, content.name, content.steps_json, content.options_json, content.metadata_json,
      now.ms);
}

Status check_match(const PipelineVersion& newest, std::optional<Version> if_match) {
  if (!if_match || *if_match == newest.version) return {};
  return fail(ErrorCode::PreconditionFailed,
              fmt::format("Pipeline '{}' is at version {}, not {}; read it again and repeat the change.", newest.id,
                          newest.version, *if_match));
}

Status check_removable(Connection& db, const PipelineVersion& pipeline, bool discard_dead_letters) {
  {
    Query trigger =
        db.query("SELECT 1 FROM triggers WHERE pipeline_uid=? AND desired<>?", pipeline.uid, DesiredState::Stopped);
    if (trigger.next())
      return fail(ErrorCode::Conflict,
                  fmt::format("The trigger of pipeline '{}' is not stopped; stop it first.", pipeline.id));
    RETURN_IF_ERROR(trigger.status());
  }
  if (discard_dead_letters) return {};
  Query letters = db.query("SELECT 1 FROM dead_letters WHERE pipeline_uid=? LIMIT 1", pipeline.uid);
  if (letters.next())
    return fail(ErrorCode::Conflict,
                fmt::format("Pipeline '{}' has dead letters; replay or delete them, or discard them with the pipeline.",
                            pipeline.id));
  return letters.status();
}

}  // namespace

Result<PipelineVersion> find_pipeline(Connection& db, const std::string& id, std::optional<Version> version) {
  auto newest = only_version(db.query(DHUB_VERSION_SELECT "AND p.id=? AND v.version=p.newest_version", id),
                             fmt::format("pipeline '{}'", id));
  if (!newest || !version || *version == newest->version) return newest;
  return only_version(db.query(DHUB_VERSION_SELECT "AND p.id=? AND v.version=?", id, *version),
                      fmt::format("version {} of pipeline '{}'", *version, id));
}

Result<PipelineVersion> find_pipeline(Connection& db, PipelineUid uid, Version version) {
  return only_version(db.query(DHUB_VERSION_SELECT "AND p.uid=? AND v.version=?", uid, version),
                      fmt::format("version {} of a pipeline with uid {}", version, uid));
}

Result<std::vector<PipelineVersion>> list_pipelines(Connection& db, const std::string& after, std::size_t limit) {
  return all_versions(
      db.query(DHUB_VERSION_SELECT "AND v.version=p.newest_version AND p.id>? ORDER BY p.id LIMIT ?", after, limit));
}

Result<std::vector<PipelineVersion>> list_versions(Connection& db, const std::string& id, std::int32_t before,
                                                   std::size_t limit) {
  RETURN_IF_ERROR(find_pipeline(db, id, std::nullopt));
  return all_versions(db.query(DHUB_VERSION_SELECT "AND p.id=? AND v.version<? ORDER BY v.version DESC LIMIT ?", id,
                               before > 0 ? before : std::numeric_limits<std::int32_t>::max(), limit));
}

Result<PipelineVersion> insert_pipeline(Connection& db, const PipelineVersion& content, WallTime now) {
  if (const auto there = find_pipeline(db, content.id, std::nullopt); there)
    return fail(ErrorCode::AlreadyExists, fmt::format("There is a pipeline '{}' already.", content.id));
  else if (there.error().code != ErrorCode::NotFound)
    return fail(there.error());
  RETURN_IF_ERROR(db.run("INSERT INTO pipelines (id, newest_version, created_ms) VALUES (?,1,?)", content.id, now.ms));
  PipelineVersion first = content;
  first.uid = PipelineUid{db.last_rowid()};
  first.version = Version{1};
  RETURN_IF_ERROR(put_version(db, first, now));
  return find_pipeline(db, first.uid, first.version);
}

Result<PipelineVersion> insert_version(Connection& db, const std::string& id, const PipelineChange& change,
                                       std::optional<Version> if_match, WallTime now) {
  ASSIGN_OR_RETURN(PipelineVersion newest, find_pipeline(db, id, std::nullopt));
  RETURN_IF_ERROR(check_match(newest, if_match));
  PipelineVersion next = newest;
  next.name = change.name.value_or(newest.name);
  next.steps_json = change.steps_json.value_or(newest.steps_json);
  next.options_json = change.options_json.value_or(newest.options_json);
  next.metadata_json = change.metadata_json.value_or(newest.metadata_json);
  const bool same = next.name == newest.name && next.steps_json == newest.steps_json &&
                    next.options_json == newest.options_json && next.metadata_json == newest.metadata_json;
  if (same) return newest;
  ++next.version.value;
  RETURN_IF_ERROR(put_version(db, next, now));
  RETURN_IF_ERROR(db.run("UPDATE pipelines SET newest_version=? WHERE uid=?", next.version, next.uid));
  return find_pipeline(db, next.uid, next.version);
}

Status mark_pipeline_deleted(Connection& db, const PipelineRemoval& removal, WallTime now) {
  ASSIGN_OR_RETURN(const PipelineVersion pipeline, find_pipeline(db, removal.id, std::nullopt));
  RETURN_IF_ERROR(check_match(pipeline, removal.if_match));
  RETURN_IF_ERROR(check_removable(db, pipeline, removal.discard_dead_letters));
  RETURN_IF_ERROR(db.run("DELETE FROM triggers WHERE pipeline_uid=?", pipeline.uid));
  RETURN_IF_ERROR(db.run("UPDATE positions SET deleted_ms=? WHERE pipeline_uid=?", now.ms, pipeline.uid));
  return db.run("UPDATE pipelines SET deleted_ms=? WHERE uid=?", now.ms, pipeline.uid);
}

}  // namespace dhub::store
