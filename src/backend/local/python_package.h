// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

namespace dhub {

// One file of the package `dhub` that steps import and that workers run; part of the binary.
struct PythonFile {
  std::string_view name;
  std::string_view content;
};
[[nodiscard]] const std::vector<PythonFile>& python_package();

}  // namespace dhub
