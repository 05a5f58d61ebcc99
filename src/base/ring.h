// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "base/check.h"

namespace dhub {

// A queue in one block of memory that grows by doubling, and gives half of it back when it is a sixteenth full: no
// allocation per element, and no memory kept for a crowd that is gone. Elements are reached by their distance from the
// front. Not thread-safe; references are invalidated by push_back, push_front and pop_front.
template <typename T>
class Ring {
 public:
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }

  T& operator[](std::size_t i) {
    CHECK(i < size_);
    return slots_[(head_ + i) & (slots_.size() - 1)];
  }
  const T& operator[](std::size_t i) const {
    CHECK(i < size_);
    return slots_[(head_ + i) & (slots_.size() - 1)];
  }
  T& front() { return (*this)[0]; }

  T& push_back(T value) {
    if (size_ == slots_.size()) grow();
    T& slot = slots_[(head_ + size_) & (slots_.size() - 1)];
    slot = std::move(value);
    ++size_;
    return slot;
  }
  T& push_front(T value) {
    if (size_ == slots_.size()) grow();
    head_ = (head_ + slots_.size() - 1) & (slots_.size() - 1);
    ++size_;
    slots_[head_] = std::move(value);
    return slots_[head_];
  }
  // Drops the front element; its slot is reset, so that what it owned is released.
  void pop_front() {
    CHECK(size_ > 0);
    slots_[head_] = T{};
    head_ = (head_ + 1) & (slots_.size() - 1);
    --size_;
    if (slots_.size() > kAlwaysKept && size_ < slots_.size() / 16) move_to(slots_.size() / 2);
  }
  [[nodiscard]] std::size_t capacity() const { return slots_.size(); }

 private:
  static constexpr std::size_t kAlwaysKept = 1024;

  void grow() { move_to(slots_.empty() ? 16 : slots_.size() * 2); }
  void move_to(std::size_t slots) {
    std::vector<T> others(slots);
    for (std::size_t i = 0; i < size_; ++i) others[i] = std::move(slots_[(head_ + i) & (slots_.size() - 1)]);
    slots_ = std::move(others);
    head_ = 0;
  }

  std::vector<T> slots_;  // a power of two, or empty
  std::size_t head_ = 0;
  std::size_t size_ = 0;
};

}  // namespace dhub
