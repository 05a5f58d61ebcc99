// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace dhub {

// The program's version; the same as in CMakeLists.txt, which a test compares.
inline constexpr std::string_view kVersion = "0.1.0";

}  // namespace dhub
