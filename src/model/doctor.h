// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace dhub {

// Warn: it works, but not as well as it should, or not much longer.
enum class CheckState { Ok, Warn, Fail };

// What a check of `dhub doctor` found. Holds no secret.
struct DoctorCheck {
  std::string name;  // what was looked at, in a few words
  CheckState state = CheckState::Ok;
  std::string detail = {};  // what was found
  std::string action = {};  // what to do about it; empty when there is nothing
};

}  // namespace dhub
