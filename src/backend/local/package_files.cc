// SPDX-License-Identifier: Apache-2.0
#include "backend/local/package_files.h"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <string_view>

#include "backend/local/python_package.h"

namespace dhub::local {
namespace {

// FNV-1a: names a directory, protects nothing.
std::uint64_t hash_of_package() {
  std::uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&](std::string_view text) {
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  };
  for (const auto& file : python_package()) {
    add(file.name);
    add(std::to_string(file.content.size()));
    add(file.content);
  }
  return hash;
}

bool holds(const std::filesystem::path& path, std::string_view content) {
  std::ifstream file(path, std::ios::binary);
  return file && std::string(std::istreambuf_iterator<char>(file), {}) == content;
}

// Renamed into place, so that nobody ever imports half a file.
bool write(const std::filesystem::path& path, std::string_view content) {
  const std::filesystem::path temporary = path.string() + ".new";
  std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  file.close();
  std::error_code error;
  if (file) std::filesystem::rename(temporary, path, error);
  return file && !error;
}

}  // namespace

Result<std::string> write_python_package(const std::string& work_dir) {
  const std::filesystem::path root =
      std::filesystem::absolute(work_dir) / "python" / fmt::format("{:016x}", hash_of_package());
  std::error_code error;
  std::filesystem::create_directories(root / "dhub", error);
  for (const auto& file : python_package()) {
    const std::filesystem::path path = root / "dhub" / file.name;
    if (!holds(path, file.content) && !write(path, file.content))
      return fail(ErrorCode::Unavailable,
                  "the runner's Python package cannot be written to the data directory; is there space left, and is it "
                  "writable?");
  }
  return root.string();
}

}  // namespace dhub::local
