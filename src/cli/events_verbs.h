// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "base/time.h"
#include "cli/session.h"

namespace dhub::cli {

struct StartOptions {
  std::string id;
  std::string version;  // empty: the newest
  std::string from;     // empty: committed
  std::string group;    // empty: none
  bool wait = false;    // until ready
  Duration timeout = std::chrono::seconds(60);
};

VerbResult events_start(Session& session, const StartOptions& options);
VerbResult events_status(Session& session, const std::string& id);
VerbResult events_stop(Session& session, const std::string& id, bool forget_position);
VerbResult events_pause(Session& session, const std::string& id);
VerbResult events_resume(Session& session, const std::string& id);
VerbResult events_list(Session& session, std::size_t limit);

}  // namespace dhub::cli
