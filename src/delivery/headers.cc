// SPDX-License-Identifier: Apache-2.0
#include "delivery/headers.h"

#include <charconv>

#include "delivery/engine.h"
#include "model/message.h"

namespace dhub::delivery {

std::uint16_t hops_of(std::string_view header_block) {
  if (header_block.find(kHopsHeader) == std::string_view::npos) return 0;
  const auto headers = decode_headers(header_block);
  if (!headers) return 0;
  for (const auto& header : *headers) {
    if (header.name != kHopsHeader || !header.value) continue;
    std::uint16_t hops = 0;
    const auto parsed = std::from_chars(header.value->data(), header.value->data() + header.value->size(), hops);
    return parsed.ec == std::errc{} ? hops : std::uint16_t{0};
  }
  return 0;
}

}  // namespace dhub::delivery
