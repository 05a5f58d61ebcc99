// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/json/fwd.hpp>
#include <vector>

#include "model/pipeline.h"
#include "pipeline/findings.h"

namespace dhub::pipeline {

constexpr std::size_t kMostSteps = 64;
constexpr std::size_t kLongestScript = 1ULL << 20;

// The `steps` of a pipeline, in the order written. What is wrong or not served is noted; the answer is of use only
// when nothing was.
[[nodiscard]] std::vector<Step> read_steps(const boost::json::value& steps, Findings& findings);

}  // namespace dhub::pipeline
