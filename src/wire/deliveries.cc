// SPDX-License-Identifier: Apache-2.0
#include "wire/deliveries.h"

#include "base/check.h"
#include "model/message.h"
#include "wire/bytes.h"

namespace dhub::wire {
namespace {

// Length field, id, run, attempt, chain, hops, step, flags, length of topic and of results.
constexpr std::size_t kFixedBytes = 4 + 8 + 4 + 4 + 8 + 4 + 2 + 2 + 2 + 2 + 2 + 4;

bool take_delivery(Reader& frame, ReceivedDelivery& out) {
  std::string_view bytes;
  if (!frame.take_string(bytes)) return false;
  Reader reader(bytes);
  Delivery& delivery = out.delivery;
  std::uint16_t topic_length = 0;
  std::uint32_t results_length = 0;
  const bool fits = reader.take(delivery.id.value) && reader.take(delivery.run.pass.value) &&
                    reader.take(delivery.run.partition.value) && reader.take(delivery.run.offset.value) &&
                    reader.take(delivery.attempt) && reader.take(delivery.chain) && reader.take(delivery.hops) &&
                    reader.take(delivery.step) && reader.take(out.flags) && reader.take(topic_length) &&
                    reader.take(results_length);
  if (!fits) return false;
  std::string_view rest = reader.rest();
  auto record = take_record(rest);
  if (!record) return false;
  delivery.record = *record;
  delivery.record.offset = delivery.run.offset;
  Reader tail(rest);
  return tail.take_bytes(topic_length, delivery.topic) && tail.take_bytes(results_length, delivery.results) &&
         tail.empty();
}

}  // namespace

std::size_t encoded_bytes(const Delivery& delivery) {
  return kFixedBytes + kRecordOverhead + delivery.record.bytes() + delivery.topic.size() + delivery.results.size();
}

void encode_delivery(std::string& out, const Delivery& delivery, std::uint16_t flags) {
  CHECK(delivery.topic.size() <= 0xffff);
  put(out, static_cast<std::uint32_t>(encoded_bytes(delivery) - sizeof(std::uint32_t)));
  put(out, delivery.id.value);
  put(out, delivery.run.pass.value);
  put(out, delivery.run.partition.value);
  put(out, delivery.run.offset.value);
  put(out, delivery.attempt);
  put(out, delivery.chain);
  put(out, delivery.hops);
  put(out, delivery.step);
  put(out, flags);
  put(out, static_cast<std::uint16_t>(delivery.topic.size()));
  put(out, static_cast<std::uint32_t>(delivery.results.size()));
  append_record(out, delivery.record);
  out.append(delivery.topic);
  out.append(delivery.results);
}

Result<std::vector<ReceivedDelivery>> decode_deliveries(std::string_view payload) {
  Reader reader(payload);
  std::uint32_t count = 0;
  std::vector<ReceivedDelivery> deliveries;
  bool fits = reader.take(count);
  for (std::uint32_t i = 0; fits && i < count; ++i) fits = take_delivery(reader, deliveries.emplace_back());
  if (!fits || !reader.empty()) return fail(ErrorCode::Malformed, "a frame does not hold deliveries.");
  return deliveries;
}

}  // namespace dhub::wire
