// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.h"
#include "service/triggers.h"

namespace dhub::service {

// What it means for a trigger that its topic's log answers so, and what its user can do.
[[nodiscard]] Condition source_failed(const Error& error);

}  // namespace dhub::service
