// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "service/triggers.h"

namespace dhub::service {

// Equal for equal content, whatever `etag` itself says.
[[nodiscard]] std::string status_etag(const TriggerStatus& status);

}  // namespace dhub::service
