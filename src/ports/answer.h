// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "base/result.h"

namespace dhub {

// How a call of a port answers that does not wait: called once, on a thread of the adapter, or within the call when it
// is turned away; must be quick. Answer<void> takes a Status.
template <typename T>
using Answer = std::function<void(Result<T>)>;

}  // namespace dhub
