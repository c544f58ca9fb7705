import assert from "node:assert/strict";
import test from "node:test";
import { Backoff } from "../src/backoff.js";

test("delays double up to ten seconds, and start anew", () => {
  const backoff = new Backoff();
  for (const ceiling of [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]) {
    const delay = backoff.next();
    assert.ok(delay >= ceiling / 2 && delay <= ceiling, `${delay}, want ${ceiling / 2} to ${ceiling}`);
  }
  backoff.reset();
  assert.ok(backoff.next() <= 100);
});
