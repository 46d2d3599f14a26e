// Texts of others are harmless on the page.

import assert from "node:assert/strict";
import { test } from "node:test";

import { hostOf, pieces, safeAddress } from "../../assets/prose.mjs";

test("only addresses of the web are followed", () => {
  for (const bad of [
    "javascript:alert(1)", " JaVaScRiPt:alert(1)", "java\nscript:alert(1)", "\u0001javascript:alert(1)", "data:text/html,<script>alert(1)</script>",
    "vbscript:x", "file:///etc/passwd", "blob:https://example.com/1", "ftp://example.com", "//example.com", "/local", "", "x", null, undefined, 5,
    "https://bank.example@evil.example/", "https://user:secret@example.com/",
  ]) {
    assert.equal(safeAddress(bad), null, String(bad));
  }
  assert.equal(safeAddress(" https://example.com/a?b=1#c "), "https://example.com/a?b=1#c");
  assert.equal(safeAddress("http://t.co/DRnvjCok7W"), "http://t.co/DRnvjCok7W");
});

test("a text is cut into words and addresses, and nothing of it is lost", () => {
  const text = "RT @a: “Apple (http://t.co/DRnvjCok7W). See https://example.com/x?y=1, or javascript:alert(1)” <b>&amp;</b>";
  const found = pieces(text);
  assert.equal(found.map((each) => each.text).join(""), text);
  assert.deepEqual(found.filter((each) => each.address).map((each) => each.address), [
    "http://t.co/DRnvjCok7W",
    "https://example.com/x?y=1",
  ]);
  assert.deepEqual(pieces(""), []);
  assert.deepEqual(pieces("http://"), [{ text: "http://", address: null }]);
});

test("a host is called as people call it", () => {
  assert.equal(hostOf("https://www.example.com/x"), "example.com");
});
