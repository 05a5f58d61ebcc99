// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "model/pipeline.h"
#include "pipeline/object_reader.h"

namespace dhub::pipeline {

// The `options` of a pipeline. What is wrong or not served is noted; the answer is of use only when nothing was.
[[nodiscard]] Options read_options(const ObjectReader& options, Findings& findings);

}  // namespace dhub::pipeline
