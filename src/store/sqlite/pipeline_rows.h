// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "ports/catalog.h"
#include "store/sqlite/sqlite.h"

// Rows of pipelines and their versions. Reads work on any connection, changes on the writer's.
namespace dhub::store {

// The newest version, or the given one.
[[nodiscard]] Result<PipelineVersion> find_pipeline(Connection& db, const std::string& id,
                                                    std::optional<Version> version);
[[nodiscard]] Result<PipelineVersion> find_pipeline(Connection& db, PipelineUid uid, Version version);
[[nodiscard]] Result<std::vector<PipelineVersion>> list_pipelines(Connection& db, const std::string& after,
                                                                  std::size_t limit);
[[nodiscard]] Result<std::vector<PipelineVersion>> list_versions(Connection& db, const std::string& id,
                                                                 std::int32_t before, std::size_t limit);

Result<PipelineVersion> insert_pipeline(Connection& db, const PipelineVersion& content, WallTime now);
Result<PipelineVersion> insert_version(Connection& db, const std::string& id, const PipelineChange& change,
                                       std::optional<Version> if_match, WallTime now);
struct PipelineRemoval {
  std::string id;
  bool discard_dead_letters = false;
  std::optional<Version> if_match;
};
// Takes the id and the positions away at once; clean-up removes the rest in slices.
Status mark_pipeline_deleted(Connection& db, const PipelineRemoval& removal, WallTime now);

}  // namespace dhub::store
