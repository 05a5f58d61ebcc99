// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "model/doctor.h"

namespace dhub::wiring {

// Does a server hold the lock of the data directory? None: nobody can tell, or there is no such directory.
[[nodiscard]] std::optional<bool> is_locked(const std::string& directory);

// There, or can be made; can be written by this user.
[[nodiscard]] DoctorCheck check_data_directory(const std::string& directory);
// None when not even a parent of the directory is there.
[[nodiscard]] std::optional<DoctorCheck> check_free_space(const std::string& directory);
// Runs the interpreter, for a few seconds at most.
[[nodiscard]] DoctorCheck check_python(const std::string& interpreter);
// Asks the server that server.json of the directory names.
[[nodiscard]] DoctorCheck check_server(const std::string& directory);
// `newest_write`: of the store's files. A clock that went back makes retention and retries wait.
[[nodiscard]] DoctorCheck check_clock(WallTime now, std::optional<WallTime> newest_write);
[[nodiscard]] std::optional<WallTime> newest_write_of_store(const std::string& directory);

}  // namespace dhub::wiring
