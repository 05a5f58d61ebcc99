// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/result.h"

namespace dhub::local {

// Writes the Python package that is part of this binary below `work_dir`, in a directory named by its content, and
// answers the directory to put on sys.path. What is there already and right is left alone. Unavailable when it cannot
// be written.
[[nodiscard]] Result<std::string> write_python_package(const std::string& work_dir);

}  // namespace dhub::local
