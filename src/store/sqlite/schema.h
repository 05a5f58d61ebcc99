// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "store/sqlite/sqlite.h"

namespace dhub::store {

constexpr std::int64_t kApplicationId = 0x64687562;  // "dhub"
constexpr std::int64_t kStoreVersion = 4;

// Opens the store's writer connection, making the schema in a new file and bringing an older one up to date.
// Unsupported: written by a newer program.
// Corruption: not a store, or damaged. docs/specs/store.md says what the tables mean.
[[nodiscard]] Result<std::unique_ptr<Connection>> open_store_file(const std::string& path, const std::string& vfs);

// The same for the file of run details.
[[nodiscard]] Result<std::unique_ptr<Connection>> open_archive_file(const std::string& path, const std::string& vfs);

}  // namespace dhub::store
