// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace dhub::cli {

// RFC 4648, with padding.
[[nodiscard]] std::string encode_base64(std::string_view bytes);

}  // namespace dhub::cli
