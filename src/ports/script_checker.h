// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "model/pipeline.h"

namespace dhub {

// What is wrong with the script of one step, before anything runs.
struct ScriptError {
  std::size_t step = 0;  // index
  int line = 0;          // 1 = the script's first line; 0 = not known
  std::string message;   // "invalid syntax"
};

// Compiles scripts without running them. Thread-safe; blocks, at most about 5 s.
class ScriptChecker {
 public:
  virtual ~ScriptChecker() = default;
  // All that is wrong; empty when every script compiles. Unavailable when the interpreter cannot be run.
  virtual Result<std::vector<ScriptError>> check(const std::vector<Step>& steps, const std::string& interpreter) = 0;
};

}  // namespace dhub
