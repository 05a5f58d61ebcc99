// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mutex>
#include <utility>

namespace dhub {

// A value that can be reached only through its lock. `with` runs the function under the lock; never call out to other
// parts of the program from inside it.
template <typename T>
class Guarded {
 public:
  Guarded() = default;
  explicit Guarded(T value) : value_(std::move(value)) {}
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  template <typename F>
  auto with(F&& function) {
    std::lock_guard lock(mutex_);
    return std::forward<F>(function)(value_);
  }
  template <typename F>
  auto with(F&& function) const {
    std::lock_guard lock(mutex_);
    return std::forward<F>(function)(value_);
  }

 private:
  mutable std::mutex mutex_;
  T value_{};
};

}  // namespace dhub
