// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <librdkafka/rdkafka.h>
#include <string>

#include "base/result.h"

namespace dhub::kafka {

// librdkafka's error as one of ours. `what` begins the sentence: "Topic 'orders' of cluster 'main' cannot be read".
[[nodiscard]] Error to_error(rd_kafka_resp_err_t code, const std::string& what);
// The same with the words of a longer report, which may name hosts but never secrets.
[[nodiscard]] Error to_error(rd_kafka_resp_err_t code, const std::string& what, const std::string& detail);

}  // namespace dhub::kafka
