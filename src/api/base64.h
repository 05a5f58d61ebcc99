// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace dhub::api {

// RFC 4648 section 4, with padding.
[[nodiscard]] std::string base64_encode(std::string_view bytes);
// Strict: padding complete, no other characters, no bits left over; nothing otherwise.
[[nodiscard]] std::optional<std::string> base64_decode(std::string_view text);

}  // namespace dhub::api
