// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "base/result.h"
#include "model/run.h"
#include "ports/compute_backend.h"
#include "ports/journal.h"

namespace dhub::delivery {

// A frame of events for one instance. The views in it are valid until the engine is called again.
struct Dispatch {
  InstanceId instance{};
  std::vector<Delivery> frame;
};

// What one step of the engine wants done, in the order of the fields. The caller owns the buffer and reuses it; its
// vectors keep their capacity.
struct Outputs {
  std::vector<InstanceId> recalls;
  std::vector<Dispatch> dispatches;  // the first `dispatch_count` are meant
  std::size_t dispatch_count = 0;
  JournalCommitRef commit;  // none, a new one, or the same again after a refusal
  std::vector<AttemptDetail> details;
  std::optional<Error> broken;  // the engine can go on no more: Fenced, or a journal that lost its mind

  void clear() {
    recalls.clear();
    dispatch_count = 0;
    commit.reset();
    details.clear();
    broken.reset();
  }
  Dispatch& next_dispatch(InstanceId instance) {
    if (dispatch_count == dispatches.size()) dispatches.emplace_back();
    Dispatch& dispatch = dispatches[dispatch_count++];
    dispatch.instance = instance;
    dispatch.frame.clear();
    return dispatch;
  }
};

}  // namespace dhub::delivery
