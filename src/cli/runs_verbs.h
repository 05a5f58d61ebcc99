// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "cli/session.h"

namespace dhub::cli {

struct RunsOptions {
  std::string pipeline;
  std::string state;  // the filters; empty: not given
  std::string key;
  std::string error;
  std::string partition;
  std::string offset;
  std::size_t limit = 50;
};

VerbResult runs_list(Session& session, const RunsOptions& options);
VerbResult runs_get(Session& session, const std::string& pipeline, const std::string& run);
VerbResult dead_letters_list(Session& session, const std::string& pipeline, std::size_t limit);
VerbResult dead_letters_get(Session& session, const std::string& pipeline, const std::string& number);
VerbResult messages_get(Session& session, const std::string& pipeline, const std::string& partition,
                        const std::string& offset);

}  // namespace dhub::cli
