// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

namespace dhub::wire {

static_assert(std::endian::native == std::endian::little, "frames are little endian");

template <typename T>
void put(std::string& out, T value) {
  static_assert(std::is_integral_v<T>);
  char raw[sizeof value];
  std::memcpy(raw, &value, sizeof value);
  out.append(raw, sizeof value);
}

// u32 length, then the bytes.
inline void put_string(std::string& out, std::string_view text) {
  put(out, static_cast<std::uint32_t>(text.size()));
  out.append(text);
}

// Takes values off the front of bytes that somebody else wrote. Every take answers false, and takes nothing, when the
// bytes do not hold it. Views point into the bytes.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  template <typename T>
  [[nodiscard]] bool take(T& out) {
    static_assert(std::is_integral_v<T>);
    if (bytes_.size() < sizeof out) return false;
    std::memcpy(&out, bytes_.data(), sizeof out);
    bytes_.remove_prefix(sizeof out);
    return true;
  }
  [[nodiscard]] bool take_bytes(std::size_t length, std::string_view& out) {
    if (bytes_.size() < length) return false;
    out = bytes_.substr(0, length);
    bytes_.remove_prefix(length);
    return true;
  }
  [[nodiscard]] bool take_string(std::string_view& out) {
    Reader ahead = *this;
    std::uint32_t length = 0;
    if (!ahead.take(length) || !ahead.take_bytes(length, out)) return false;
    *this = ahead;
    return true;
  }
  [[nodiscard]] bool take_string(std::string& out) {
    std::string_view view;
    if (!take_string(view)) return false;
    out = view;
    return true;
  }
  [[nodiscard]] bool empty() const { return bytes_.empty(); }
  [[nodiscard]] std::string_view rest() const { return bytes_; }

 private:
  std::string_view bytes_;
};

}  // namespace dhub::wire
