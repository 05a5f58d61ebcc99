// SPDX-License-Identifier: Apache-2.0
#include "api/docs_page.h"

#include <gmock/gmock.h>

#include "api/fake_client.h"
#include "api/fake_openapi_client.h"

namespace dhub::api {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string page_of(Value changed) {
  return docs_page(boost::json::serialize(changed));
}

TEST(DocsPage, HasEveryOperationWithWhatItTakes) {
  const std::string page = page_of(document());
  for (const Route& route : route_table()) {
    EXPECT_THAT(page, HasSubstr(fmt::format("<details id=\"{}\"><summary><code>{} {}</code> {}</summary>", route.id,
                                            to_string(route.method), route.path, route.summary)));
    for (const auto& name : route.query)
      EXPECT_THAT(page, HasSubstr(fmt::format("<td><code>{}</code><td>query", name)));
  }
  EXPECT_THAT(page, HasSubstr("{\n  &quot;message&quot;: &quot;Event started successfully&quot;\n}"))
      << "examples are easy to read";
  EXPECT_THAT(page, HasSubstr("<code>409</code> The state of the object forbids it."));
  EXPECT_THAT(page, HasSubstr("Needs a token with the role <code>operator</code>.")) << "roles are told";
}

TEST(DocsPage, LoadsNothingAndRunsNothing) {
  const std::string page = page_of(document());
  for (const char* bad : {"<script", "<img", "<link", "http://", "https://", "@import", "url("})
    EXPECT_THAT(page, Not(HasSubstr(bad)));
}

TEST(DocsPage, NoTextBecomesMarkup) {
  Value changed = document();
  changed.at("info").at("title") = "<b>\"&";
  changed.at("info").at("description") = "one `<i>`\n\ntwo";
  const std::string page = page_of(changed);
  EXPECT_THAT(page, HasSubstr("<h1>&lt;b&gt;&quot;&amp; 1.2.3</h1>"));
  EXPECT_THAT(page, HasSubstr("<p>one <code>&lt;i&gt;</code>\n<p>two"));
}

class DocsServed : public FakeWorld {};

TEST_F(DocsServed, ToEverybodyAndWithoutRights) {
  const FakeAnswer answer = call("GET", "/docs", "", nobody());
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.header("content-type"), "text/html; charset=utf-8");
  EXPECT_EQ(answer.header("content-security-policy"), "default-src 'none'; style-src 'unsafe-inline'");
  EXPECT_EQ(answer.body, page_of(document()));
}

}  // namespace
}  // namespace dhub::api
