// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

namespace dhub::delivery {

// The value of the hops header in a header block, 0 when there is none or it is not a number. Walks the block without
// decoding it, since this happens for every event.
[[nodiscard]] std::uint16_t hops_of(std::string_view header_block);

}  // namespace dhub::delivery
