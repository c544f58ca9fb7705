import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { type CursorStore, CursorStoreError, FileCursorStore, formatCursor, MemoryCursorStore } from "../src/index.js";
import {
  batch,
  batchRequest,
  caughtUp,
  collect,
  connect,
  heartbeat,
  opened,
  plays,
  serve,
  stalls,
} from "./scripted.js";

/** Remembers what it was asked to save. */
class RecordingStore extends MemoryCursorStore {
  readonly saved: string[] = [];

  override async save(cursor: string, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    this.saved.push(cursor);
    await super.save(cursor);
  }
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test("is saved at once behind what is not events", async (t) => {
  const bridge = await serve(
    t,
    plays(undefined, opened(0, 9), batch(1, 2), heartbeat(5, 9), heartbeat(5, 9), batch(7), batch(8), caughtUp(9)),
  );
  const cursorStore = new RecordingStore();
  await collect(connect(t, bridge), batchRequest, { cursorStore });
  assert.deepEqual(cursorStore.saved, ["e1:0", "e1:5", "e1:9"]);
});

test("is saved behind events once a second", async (t) => {
  const bridge = await serve(t, plays(undefined, opened(0, 4), batch(1), batch(2), batch(3), batch(4), caughtUp(4)));
  const cursorStore = new RecordingStore();
  for await (const { position } of connect(t, bridge).subscribe(batchRequest, { cursorStore })) {
    await pause(position === 2n ? 1_100 : 0);
  }
  assert.deepEqual(cursorStore.saved, ["e1:0", "e1:2", "e1:4"]);
});

test("is saved within a long batch", async (t) => {
  const bridge = await serve(t, plays(undefined, opened(0, 4), batch(1, 2, 3, 4), caughtUp(4)));
  const cursorStore = new RecordingStore();
  for await (const _ of connect(t, bridge).subscribe(batchRequest, { cursorStore })) {
    await pause(600);
  }
  const { saved } = cursorStore;
  assert.deepEqual([saved[0], saved.at(-1)], ["e1:0", "e1:4"]);
  assert.ok(saved.length > 2, `saved only ${saved}`);
});

// The event that the loop was left with may not have been dealt with: it must come again.
test("stays before the event that the loop was left with", async (t) => {
  const bridge = await serve(
    t,
    stalls(opened(0, 3), heartbeat(1, 9), batch(2, 3, 4)),
    plays(undefined, opened(2, 9), batch(3, 4), caughtUp(9)),
  );
  const client = connect(t, bridge);
  const cursorStore = new MemoryCursorStore();
  for await (const { position } of client.subscribe({}, { cursorStore })) {
    if (position === 3n) {
      break;
    }
  }
  assert.deepEqual(await collect(client, batchRequest, { cursorStore }), [3, 4]);
  assert.deepEqual(bridge.starts, ["", "e1:2"]);
});

test("of a filtered stream is not taken back", async (t) => {
  const bridge = await serve(t, stalls(opened(0, 90), heartbeat(70, 90), batch(80)));
  const cursorStore = new RecordingStore();
  for await (const _ of connect(t, bridge).subscribe({}, { cursorStore })) {
    break;
  }
  assert.deepEqual(cursorStore.saved, ["e1:0", "e1:70"]);
});

test("is saved though the signal was aborted", async (t) => {
  const bridge = await serve(t, stalls(opened(0, 3), batch(1, 2, 3)));
  const cursorStore = new RecordingStore();
  const controller = new AbortController();
  await assert.rejects(async () => {
    for await (const { position } of connect(t, bridge).subscribe({}, { cursorStore, signal: controller.signal })) {
      if (position === 2n) {
        controller.abort();
      }
    }
  });
  assert.equal(await cursorStore.load(), "e1:2");
});

const broken = new Error("disk on fire");

function breakingAt(count: number): CursorStore {
  let saves = 0;
  return {
    load: async () => "",
    save: async () => {
      if (++saves >= count) {
        throw broken;
      }
    },
  };
}

const failingStores: Record<string, CursorStore> = {
  load: { load: () => Promise.reject(broken), save: async () => undefined },
  "first save": breakingAt(1),
  "second save": breakingAt(2),
};

for (const [name, cursorStore] of Object.entries(failingStores)) {
  test(`a store that fails ends the subscription: ${name}`, async (t) => {
    const client = connect(t, await serve(t, stalls(opened(0, 1), batch(1))));
    await assert.rejects(collect(client, {}, { cursorStore }), (error) => {
      assert.ok(error instanceof CursorStoreError && error.cause === broken);
      return true;
    });
  });
}

test("a store that fails when the loop is left is told of", async (t) => {
  const client = connect(t, await serve(t, stalls(opened(0, 3), batch(1, 2))));
  const leave = async () => {
    for await (const { position } of client.subscribe({}, { cursorStore: breakingAt(2) })) {
      if (position === 2n) {
        break;
      }
    }
  };
  await assert.rejects(leave(), CursorStoreError);
});

test("has a form", () => {
  assert.equal(formatCursor("e1", 18446744073709551615n), "e1:18446744073709551615");
});

async function directory(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "deskbridge-"));
  t.after(() => rm(path, { recursive: true }));
  return path;
}

test("is kept in a file", async (t) => {
  const path = await directory(t);
  const store = new FileCursorStore(join(path, "cursor"));
  await writeFile(join(path, "cursor.tmp"), "what a kill has left");
  assert.equal(await store.load(), "");
  for (const cursor of ["e1:7", "e1:12345678"]) {
    await store.save(cursor);
    assert.equal(await new FileCursorStore(join(path, "cursor")).load(), cursor);
  }
  assert.equal(await readFile(join(path, "cursor"), "utf8"), "e1:12345678\n");
  assert.deepEqual(await readdir(path), ["cursor"]);
});

test("failures of the file are told of", async (t) => {
  const path = await directory(t);
  await assert.rejects(new FileCursorStore(join(path, "no", "cursor")).save("e1:1"), { code: "ENOENT" });
  await assert.rejects(new FileCursorStore(path).load(), { code: "EISDIR" });
  await assert.rejects(new FileCursorStore(path).save("e1:1"));
  assert.deepEqual(await readdir(path), []);
});
