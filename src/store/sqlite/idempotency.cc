// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/idempotency.h"

#include <cstring>
#include <fmt/format.h>
#include <openssl/evp.h>

#include "base/check.h"

namespace dhub::store {
namespace {

constexpr std::int64_t kRememberedMs = 24LL * 3600 * 1000;
constexpr std::int64_t kSlice = 1000;
constexpr std::size_t kRunBytes = 4 + 8 + 4;

// Placements as runs of rising offsets in one partition: most requests are one.
struct Run {
  std::int32_t partition = 0;
  std::int64_t first = 0;
  std::uint32_t count = 0;
};

void put_run(std::string& out, const Run& run) {
  char raw[kRunBytes];
  std::memcpy(raw, &run.partition, 4);
  std::memcpy(raw + 4, &run.first, 8);
  std::memcpy(raw + 12, &run.count, 4);
  out.append(raw, sizeof raw);
}

std::string encode(const std::vector<Placement>& placements) {
  std::string out;
  Run run;
  for (const auto& placement : placements) {
    if (run.count > 0 && placement.partition.value == run.partition &&
        placement.offset.value == run.first + std::int64_t{run.count}) {
      ++run.count;
      continue;
    }
    if (run.count > 0) put_run(out, run);
    run = {placement.partition.value, placement.offset.value, 1};
  }
  if (run.count > 0) put_run(out, run);
  return out;
}

std::vector<Placement> decode(std::string_view bytes) {
  std::vector<Placement> placements;
  for (; bytes.size() >= kRunBytes; bytes.remove_prefix(kRunBytes)) {
    Run run;
    std::memcpy(&run.partition, bytes.data(), 4);
    std::memcpy(&run.first, bytes.data() + 4, 8);
    std::memcpy(&run.count, bytes.data() + 12, 4);
    for (std::uint32_t i = 0; i < run.count; ++i)
      placements.push_back({PartitionId{run.partition}, Offset{run.first + i}});
  }
  return placements;
}

}  // namespace

std::string fingerprint_of(std::string_view encoded_messages) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  CHECK(EVP_Digest(encoded_messages.data(), encoded_messages.size(), digest, &length, EVP_sha256(), nullptr) == 1);
  return std::string(reinterpret_cast<const char*>(digest), length);
}

Result<std::optional<std::vector<Placement>>> recall_key(Connection& db, TopicUid topic, const std::string& key,
                                                         std::string_view fingerprint, WallTime now) {
  Query row = db.query("SELECT fingerprint, placements FROM idempotency WHERE topic_uid=? AND key=? AND created_ms>?",
                       topic, key, now.ms - kRememberedMs);
  if (!row.next()) {
    RETURN_IF_ERROR(row.status());
    return std::nullopt;
  }
  if (row.blob(0) != fingerprint)
    return fail(ErrorCode::Conflict,
                fmt::format("The idempotency key '{}' was used within the last 24 hours for other messages.",
                            key.substr(0, 128)));
  return decode(row.blob(1));
}

Status remember_key(Connection& db, const RememberedKey& remembered, WallTime now) {
  return db.run(
      "INSERT OR REPLACE INTO idempotency (topic_uid, key, fingerprint, placements, created_ms) VALUES (?,?,?,?,?)",
      remembered.topic, remembered.key, Blob{remembered.fingerprint}, Blob{encode(remembered.placements)}, now.ms);
}

Result<bool> forget_old_keys(Connection& db, WallTime now) {
  RETURN_IF_ERROR(
      db.run("DELETE FROM idempotency WHERE (topic_uid, key) IN "
             "(SELECT topic_uid, key FROM idempotency WHERE created_ms<=? LIMIT ?)",
             now.ms - kRememberedMs, kSlice));
  return db.changes() == kSlice;
}

}  // namespace dhub::store
