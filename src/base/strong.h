// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <fmt/format.h>
#include <functional>

namespace dhub {

// An integer that means one thing: a PartitionId cannot be passed where an Offset is meant. No arithmetic beyond
// comparison; use `.value` where a number is really wanted.
template <typename Tag, typename T>
struct Strong {
  using Value = T;
  T value{};

  constexpr Strong() = default;
  constexpr explicit Strong(T v) : value(v) {}
  constexpr auto operator<=>(const Strong&) const = default;
};

}  // namespace dhub

template <typename Tag, typename T>
struct std::hash<dhub::Strong<Tag, T>> {
  std::size_t operator()(const dhub::Strong<Tag, T>& id) const noexcept { return std::hash<T>{}(id.value); }
};

template <typename Tag, typename T>
struct fmt::formatter<dhub::Strong<Tag, T>> : fmt::formatter<T> {
  template <typename Context>
  auto format(const dhub::Strong<Tag, T>& id, Context& context) const {
    return fmt::formatter<T>::format(id.value, context);
  }
};
