// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/time.h"
#include "ports/script_checker.h"

namespace dhub::local {

// Compiles scripts with the interpreter that would run them, in a process of its own for each call. Thread-safe.
class PythonScriptChecker : public ScriptChecker {
 public:
  explicit PythonScriptChecker(std::string default_interpreter = "/usr/bin/python3",
                               Duration deadline = std::chrono::seconds(5))
      : default_interpreter_(std::move(default_interpreter)), deadline_(deadline) {}

  Result<std::vector<ScriptError>> check(const std::vector<Step>& steps, const std::string& interpreter) override;

 private:
  const std::string default_interpreter_;
  const Duration deadline_;
};

}  // namespace dhub::local
