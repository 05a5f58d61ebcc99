// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace dhub {

// Seeded, reproducible on every platform (xoshiro256**, Blackman and Vigna 2018, seeded by splitmix64). Not for
// secrets.
class Random {
 public:
  explicit Random(std::uint64_t seed);

  std::uint64_t next();
  // Uniform in [0, bound); bound 0 answers 0.
  std::uint64_t below(std::uint64_t bound);
  // Uniform in [0, 1).
  double unit();
  // `length` characters of [a-z0-9].
  std::string id(std::size_t length);

 private:
  std::uint64_t state_[4];
};

// A seed from the operating system. Whoever uses it prints it.
[[nodiscard]] std::uint64_t fresh_seed();

// `bytes` of the system's cryptographic randomness as lower-case hex: for tokens.
[[nodiscard]] std::string secret_hex(std::size_t bytes);

}  // namespace dhub
