import assert from "node:assert/strict";
import { test } from "node:test";

import { at, baseOf } from "../../assets/address.mjs";

test("the page stands above its folder of assets", () => {
  assert.equal(baseOf("http://127.0.0.1:8050/assets/address.mjs"), "/");
  assert.equal(baseOf("https://example.com/sentiment/assets/address.mjs?m=1"), "/sentiment/");
  assert.equal(baseOf("https://example.com/a/b/assets/address.mjs"), "/a/b/");
});

test("at the root an address is the path", () => {
  assert.equal(at("/api/v2/items?a=1"), "/api/v2/items?a=1");
  assert.equal(at("/"), "/");
});
