// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ports/compute_backend.h"

namespace dhub::wire {

// The event runs with nothing else begun in its instance, so that a death names it.
inline constexpr std::uint16_t kAlone = 1;

// Bytes that a delivery takes in a frame.
[[nodiscard]] std::size_t encoded_bytes(const Delivery& delivery);
// Appends one delivery of a Deliver frame, whose payload begins with their count (u32).
void encode_delivery(std::string& out, const Delivery& delivery, std::uint16_t flags);

struct ReceivedDelivery {
  Delivery delivery;
  std::uint16_t flags = 0;
};
// Views into the payload. Malformed when it is not the payload of a Deliver frame.
[[nodiscard]] Result<std::vector<ReceivedDelivery>> decode_deliveries(std::string_view payload);

}  // namespace dhub::wire
