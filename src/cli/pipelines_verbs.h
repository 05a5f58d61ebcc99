// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "cli/session.h"

namespace dhub::cli {

struct DeletePipelineOptions {
  std::string id;
  bool discard_dead_letters = false;
};

// Creates or replaces each pipeline of the file, by id. The whole file must be readable before anything is sent; then
// every document is tried, and the first failure decides the exit code.
VerbResult pipelines_apply(Session& session, const std::string& file);
VerbResult pipelines_list(Session& session, std::size_t limit);
VerbResult pipelines_get(Session& session, const std::string& id, const std::string& version);
VerbResult pipelines_delete(Session& session, const DeletePipelineOptions& options);

}  // namespace dhub::cli
