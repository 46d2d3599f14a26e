import assert from "node:assert/strict";
import { test } from "node:test";

import { creep } from "../../assets/reorder.mjs";

test("the page creeps under what is carried near the edges of the screen, and nowhere else", () => {
  assert.deepEqual([56, 400, 744].map((y) => creep(y, 800)), [0, 0, 0]);
  assert.deepEqual([28, 0, -300].map((y) => creep(y, 800)), [-7, -14, -14]);
  assert.deepEqual([772, 800, 2_000].map((y) => creep(y, 800)), [7, 14, 14]);
});
