// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/guarded.h"
#include "base/random.h"
#include "base/result.h"
#include "model/pipeline.h"
#include "ports/catalog.h"
#include "ports/script_checker.h"

namespace dhub::service {

struct NewPipeline {
  std::optional<std::string> id;  // none: "pipeline-" and 12 random characters
  std::string name;
  std::string steps_json = "[]";
  std::string options_json = "{}";
  std::string metadata_json = "{}";
};

// Can there be such a topic? An error's message says why not and what may be written.
using TopicCheck = std::function<Status(const std::string& topic)>;

// Stores pipelines after checking them whole: definition and scripts. Thread-safe; blocks for the script check
// (tens of milliseconds) and until the change is durable.
class Pipelines {
 public:
  // `check_topic` is asked about each topic that a definition names; none: all are fine.
  Pipelines(Catalog& catalog, ScriptChecker& checker, std::uint64_t seed, TopicCheck check_topic = {});

  // InvalidArgument with the pointers of everything wrong ("/steps/0/script": "line 3: invalid syntax"); Unsupported
  // for what is known but not served yet; AlreadyExists.
  Result<PipelineVersion> create(const NewPipeline& pipeline);
  Result<PipelineVersion> put(const std::string& id, const PipelineChange& change, std::optional<Version> if_match);

 private:
  // Checks the whole and prints its parts canonically.
  Status prepare(PipelineVersion& content);

  Catalog& catalog_;
  ScriptChecker& checker_;
  const TopicCheck check_topic_;
  Guarded<Random> random_;
};

}  // namespace dhub::service
