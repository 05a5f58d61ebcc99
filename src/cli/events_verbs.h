// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "base/time.h"
#include "cli/session.h"

namespace dhub::cli {

struct StartOptions {
  std::string id;
  std::string version;  // empty: the newest
  // Sent as they are when they are given, so that a variable of a script that is not set is refused.
  std::optional<std::string> from;   // none: committed
  std::optional<std::string> group;  // none: not asked
  bool wait = false;                 // until ready
  Duration timeout = std::chrono::seconds(60);
};

VerbResult events_start(Session& session, const StartOptions& options);
VerbResult events_status(Session& session, const std::string& id);
VerbResult events_stop(Session& session, const std::string& id, bool forget_position);
VerbResult events_pause(Session& session, const std::string& id);
VerbResult events_resume(Session& session, const std::string& id);
VerbResult events_list(Session& session, std::size_t limit);

}  // namespace dhub::cli
