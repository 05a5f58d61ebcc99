// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "eventlog/kafka/handle.h"

namespace dhub::kafka {

// Our defaults, over them what the user has configured, over that what the guarantees rest on.
// InvalidArgument names the first property that the library does not know or take, or that must not differ from ours.
[[nodiscard]] Status check_settings(const Properties& configured);
[[nodiscard]] Properties consumer_settings(const Properties& configured);
[[nodiscard]] Properties producer_settings(const Properties& configured);

}  // namespace dhub::kafka
