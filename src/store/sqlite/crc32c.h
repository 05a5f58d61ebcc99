// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

namespace dhub::store {

// CRC-32C (Castagnoli, reflected, as in iSCSI and Kafka): "123456789" gives 0xe3069283.
[[nodiscard]] std::uint32_t crc32c(std::string_view bytes);
// The same without the processor's own instruction.
[[nodiscard]] std::uint32_t crc32c_portable(std::string_view bytes);

}  // namespace dhub::store
