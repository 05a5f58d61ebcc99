// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <librdkafka/rdkafka.h>
#include <memory>
#include <span>

#include "eventlog/kafka/handle.h"
#include "model/message.h"

namespace dhub::kafka {

// Messages that the library lent us, given back together. Keeps the handle alive that they belong to.
class Loan {
 public:
  explicit Loan(std::shared_ptr<Handle> handle) : handle_(std::move(handle)) {}
  ~Loan();
  Loan(const Loan&) = delete;
  Loan& operator=(const Loan&) = delete;
  std::vector<rd_kafka_message_t*> messages;

 private:
  std::shared_ptr<Handle> handle_;  // shared: with the other loans and whoever reads on
};

// The records of a loan, in order, without copying keys and values: they point into the library's memory. Headers are
// written into the batch as our own block.
[[nodiscard]] RecordBatchRef to_batch(std::unique_ptr<Loan> loan);

struct HeadersDeleter {
  void operator()(rd_kafka_headers_t* headers) const { rd_kafka_headers_destroy(headers); }
};
using Headers = std::unique_ptr<rd_kafka_headers_t, HeadersDeleter>;
// Null when there are none.
[[nodiscard]] Headers to_headers(const std::vector<Header>& headers);

}  // namespace dhub::kafka
