// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "model/message.h"

namespace dhub::delivery {

// Header that carries the number of triggers an event has come through, as decimal text.
inline constexpr const char* kHopsHeader = "dhub-hops";
// Header of a published output: "<topic>/<partition>/<offset>/<n>" of the event it came from; equal in every repeat.
inline constexpr const char* kOriginHeader = "dhub-origin";
// Header of a dead letter's copy: the last error.
inline constexpr const char* kErrorHeader = "dhub-error";

// The value of the hops header in a header block, 0 when there is none or it is not a number. Walks the block without
// decoding it, since this happens for every event.
[[nodiscard]] std::uint16_t hops_of(std::string_view header_block);

// Adds the trace context of the header block (W3C's traceparent and tracestate) to `headers`, unless they have one of
// their own: what a run publishes belongs to the trace of its event.
void pass_trace_on(std::string_view header_block, std::vector<Header>& headers);

}  // namespace dhub::delivery
