import assert from "node:assert/strict";
import { getEventListeners, once } from "node:events";
import test from "node:test";
import { create, equals, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { ConnectError } from "@connectrpc/connect";
import {
  ClosedError,
  Code,
  DeskbridgeError,
  EndedError,
  ErrorReason,
  OnExpired,
  SilentError,
  StartPosition,
  SubscribeRequestSchema,
} from "../src/index.js";
import {
  at,
  batch,
  batchRequest,
  caughtUp,
  collect,
  connect,
  failure,
  heartbeat,
  opened,
  plays,
  Reconnects,
  type Script,
  serve,
  stalls,
  unavailable,
} from "./scripted.js";

const silentSoon = { ...batchRequest, heartbeatInterval: durationFromMs(500) };

const troubles: { name: string; scripts: Script[]; starts: string[]; events: number[]; cause?: Error["name"] }[] = [
  {
    name: "no trouble",
    scripts: [plays(undefined, opened(0, 4), batch(1, 2), batch(3, 4), caughtUp(4))],
    starts: [""],
    events: [1, 2, 3, 4],
  },
  {
    name: "cut by the network",
    scripts: [
      plays(unavailable(), opened(0, 4), batch(1, 2)),
      plays(undefined, opened(2, 4), batch(3, 4), caughtUp(4)),
    ],
    starts: ["", "e1:2"],
    events: [1, 2, 3, 4],
    cause: "DeskbridgeError",
  },
  {
    name: "ended without an error",
    scripts: [plays(undefined, opened(0, 4), batch(1, 2, 3)), plays(undefined, opened(3, 4), batch(4), caughtUp(4))],
    starts: ["", "e1:3"],
    events: [1, 2, 3, 4],
    cause: "EndedError",
  },
  {
    name: "cut before anything came",
    scripts: [plays(unavailable()), plays(undefined, opened(0, 2), batch(1, 2), caughtUp(2))],
    starts: ["", ""],
    events: [1, 2],
    cause: "DeskbridgeError",
  },
  {
    name: "cut right after the opening",
    scripts: [plays(unavailable(), opened(0, 2)), plays(undefined, opened(0, 2), batch(1, 2), caughtUp(2))],
    starts: ["", "e1:0"],
    events: [1, 2],
    cause: "DeskbridgeError",
  },
  {
    name: "repeats",
    scripts: [
      plays(unavailable(), opened(0, 4), batch(1, 2, 3)),
      plays(undefined, opened(0, 4), batch(2, 3, 4), batch(4), caughtUp(4)),
    ],
    starts: ["", "e1:3"],
    events: [1, 2, 3, 4],
    cause: "DeskbridgeError",
  },
  {
    name: "a heartbeat's cursor",
    scripts: [
      plays(unavailable(), opened(0, 90), batch(1, 2, 3), heartbeat(70, 90)),
      plays(undefined, opened(70, 90), batch(80), caughtUp(90)),
    ],
    starts: ["", "e1:70"],
    events: [1, 2, 3, 80],
    cause: "DeskbridgeError",
  },
  {
    name: "a kind that is newer than the client",
    scripts: [
      plays(unavailable(), opened(0, 4), batch(1, 2), { cursor: at(3) }),
      plays(undefined, opened(3, 4), batch(4), caughtUp(4)),
    ],
    starts: ["", "e1:3"],
    events: [1, 2, 4],
    cause: "DeskbridgeError",
  },
  {
    name: "too slow",
    scripts: [
      plays(failure(Code.Aborted, { reason: ErrorReason.SLOW_READER }), opened(0, 4), batch(1, 2)),
      plays(undefined, opened(2, 4), batch(3, 4), caughtUp(4)),
    ],
    starts: ["", "e1:2"],
    events: [1, 2, 3, 4],
    cause: "DeskbridgeError",
  },
  {
    name: "silent",
    scripts: [stalls(opened(0, 4), batch(1, 2)), plays(undefined, opened(2, 4), batch(3, 4), caughtUp(4))],
    starts: ["", "e1:2"],
    events: [1, 2, 3, 4],
    cause: "SilentError",
  },
];

for (const { name, scripts, starts, events, cause } of troubles) {
  test(`resumes behind what was consumed: ${name}`, async (t) => {
    const bridge = await serve(t, ...scripts);
    const reconnects = new Reconnects();
    const request = cause === "SilentError" ? silentSoon : batchRequest;
    assert.deepEqual(await collect(connect(t, bridge), request, { hooks: reconnects.hooks }), events);
    assert.deepEqual(bridge.starts, starts);
    assert.deepEqual(
      reconnects.causes.map(({ name }) => name),
      cause ? [cause] : [],
    );
  });
}

test("asks for the same again, of a copy of the request", async (t) => {
  const bridge = await serve(
    t,
    plays(unavailable(), opened(0, 1), batch(1)),
    plays(undefined, opened(1, 1), caughtUp(1)),
  );
  const init: MessageInitShape<typeof SubscribeRequestSchema> = {
    ...batchRequest,
    filter: { typeNames: ["Human.*"] },
    start: { case: "startPosition", value: StartPosition.EARLIEST },
    onExpired: OnExpired.EARLIEST,
  };
  const request = create(SubscribeRequestSchema, init);
  const events = connect(t, bridge).subscribe(request);
  request.stopWhenCaughtUp = false;
  for await (const _ of events) {
  }
  const again = { ...init, start: { case: "afterCursor", value: at(1) } } as const;
  for (const [i, want] of [init, again].entries()) {
    const got = bridge.requests[i];
    assert.ok(got && equals(SubscribeRequestSchema, got, create(SubscribeRequestSchema, want)), `request ${i}`);
  }
  assert.equal(request.start.case, "startPosition");
});

test("waits as long as a draining bridge asks", async (t) => {
  const draining = { kind: { case: "draining", value: { reconnectDelay: durationFromMs(321) } } } as const;
  const bridge = await serve(
    t,
    plays(undefined, opened(0, 3), batch(1), { cursor: at(1), ...draining }, batch(2)),
    plays(undefined, opened(2, 3), batch(3), caughtUp(3)),
  );
  const reconnects = new Reconnects();
  let drained = false;
  const hooks = { ...reconnects.hooks, draining: () => (drained = true) };
  assert.deepEqual(await collect(connect(t, bridge), batchRequest, { hooks }), [1, 2, 3]);
  assert.ok(drained);
  assert.deepEqual(reconnects.delays, [321]);
});

test("the loop may take its time", async (t) => {
  const bridge = await serve(t, plays(undefined, opened(0, 2), batch(1), batch(2), caughtUp(2)));
  const reconnects = new Reconnects();
  for await (const event of connect(t, bridge).subscribe(silentSoon, { hooks: reconnects.hooks })) {
    await new Promise((resolve) => setTimeout(resolve, event.position === 1n ? 2_000 : 0));
    holdUp(event.position === 2n ? 2_000 : 0);
  }
  assert.deepEqual(reconnects.causes, []);
});

/** Holds the whole program up. */
function holdUp(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

test("backs off, and starts anew after health", async (t) => {
  const refuses = plays(unavailable());
  const bridge = await serve(
    t,
    ...[refuses, refuses, refuses],
    plays(unavailable(), opened(0, 2)), // to be opened is not health yet
    plays(unavailable(), opened(0, 2), batch(1)),
    refuses,
    plays(unavailable(), opened(0, 2), heartbeat(1, 2)),
    plays(undefined, opened(1, 2), batch(2), caughtUp(2)),
  );
  const { delays, hooks } = new Reconnects();
  assert.deepEqual(await collect(connect(t, bridge), batchRequest, { hooks }), [1, 2]);
  const ceilings = [100, 200, 400, 800, 100, 200, 100];
  assert.equal(delays.length, ceilings.length);
  for (const [i, ceiling] of ceilings.entries()) {
    const delay = delays[i] ?? 0;
    assert.ok(delay >= ceiling / 2 && delay <= ceiling, `delay ${i} is ${delay}, want ${ceiling / 2} to ${ceiling}`);
  }
});

const finalReasons: [Code, ErrorReason][] = [
  [Code.InvalidArgument, ErrorReason.REQUEST_INVALID],
  [Code.InvalidArgument, ErrorReason.FILTER_INVALID],
  [Code.InvalidArgument, ErrorReason.CURSOR_MALFORMED],
  [Code.OutOfRange, ErrorReason.CURSOR_EXPIRED],
  [Code.OutOfRange, ErrorReason.CURSOR_IN_FUTURE],
  [Code.FailedPrecondition, ErrorReason.CURSOR_FOREIGN_EPOCH],
  [Code.Unimplemented, ErrorReason.NOT_SERVED],
  [Code.DataLoss, ErrorReason.JOURNAL_DAMAGED],
  [Code.Unauthenticated, ErrorReason.UNAUTHENTICATED],
  [Code.PermissionDenied, ErrorReason.PERMISSION_DENIED],
  [Code.PermissionDenied, ErrorReason.UNSPECIFIED], // a proxy says no
];

for (const [code, reason] of finalReasons) {
  for (const [when, responses] of Object.entries({ "at once": [], later: [opened(0, 1), batch(1)] })) {
    test(`ends where the application must decide: ${ErrorReason[reason]} ${when}`, async (t) => {
      const detail = { reason, field: "after_cursor", earliestCursor: at(10), latestCursor: at(20) };
      const bridge = await serve(t, plays(failure(code, detail), ...responses));
      const error: unknown = await collect(connect(t, bridge)).catch((error: unknown) => error);
      assert.ok(error instanceof DeskbridgeError, String(error));
      const { field, earliestCursor, latestCursor } = error;
      assert.deepEqual(
        { code: error.code, reason: error.reason, field, earliestCursor, latestCursor },
        { code, ...detail },
      );
      assert.ok(error.cause instanceof ConnectError);
      assert.equal(bridge.requests.length, 1);
    });
  }
}

const temporary: Record<string, ConnectError> = {
  draining: failure(Code.Unavailable, { reason: ErrorReason.DRAINING }),
  "journal unavailable": failure(Code.Unavailable, { reason: ErrorReason.JOURNAL_UNAVAILABLE }),
  limit: failure(Code.ResourceExhausted, { reason: ErrorReason.LIMIT_EXCEEDED }),
  fault: failure(Code.Internal, { reason: ErrorReason.INTERNAL }),
  "stream reset by a proxy": new ConnectError("RST_STREAM", Code.Canceled),
  "a proxy's error page": new ConnectError("status 520", Code.Unknown),
  "a proxy's timeout": new ConnectError("timeout", Code.DeadlineExceeded),
  "newer reason": failure(Code.Unavailable, { reason: 4711 as ErrorReason }),
};

for (const [name, end] of Object.entries(temporary)) {
  test(`mends what is temporary: ${name}`, async (t) => {
    const bridge = await serve(t, plays(end, opened(0, 1)), plays(undefined, opened(0, 1), batch(1), caughtUp(1)));
    const { causes, hooks } = new Reconnects();
    assert.deepEqual(await collect(connect(t, bridge), batchRequest, { hooks }), [1]);
    assert.deepEqual(
      causes.map((cause) => cause instanceof DeskbridgeError && cause.code),
      [end.code],
    );
  });
}

const endings: Record<string, Script> = {
  "while it waits for events": stalls(opened(0, 1), batch(1)),
  "while it waits to reconnect": plays(unavailable(), opened(0, 1), batch(1)),
  "while a bridge doesn't answer": stalls(),
};

for (const [name, script] of Object.entries(endings)) {
  test(`ends with its signal ${name}`, async (t) => {
    const client = connect(t, await serve(t, script));
    const reason = new Error("enough");
    const controller = new AbortController();
    setTimeout(() => controller.abort(reason), 50);
    await assert.rejects(collect(client, {}, { signal: controller.signal }), reason);
    await assert.rejects(collect(client, {}, { signal: controller.signal }), reason);
  });

  test(`ends with its client ${name}`, async (t) => {
    const client = connect(t, await serve(t, script));
    setTimeout(() => client.close(), 50);
    await assert.rejects(collect(client, {}), ClosedError);
    await assert.rejects(collect(client, {}), ClosedError);
    await assert.rejects(client.getJournalInfo(), ClosedError);
  });
}

test("a signal that is aborted within the loop ends it before the next event", async (t) => {
  const client = connect(t, await serve(t, stalls(opened(0, 3), batch(1, 2, 3))));
  const controller = new AbortController();
  const positions: bigint[] = [];
  await assert.rejects(
    async () => {
      for await (const { position } of client.subscribe({}, { signal: controller.signal })) {
        positions.push(position);
        controller.abort();
      }
    },
    { name: "AbortError" },
  );
  assert.deepEqual(positions, [1n]);
});

test("a loop that is left ends its stream at the bridge", async (t) => {
  let ended: Promise<unknown> | undefined;
  const bridge = await serve(t, async function* ({ signal }) {
    ended = once(signal, "abort");
    yield opened(0, 1);
    yield batch(1);
    await ended;
  });
  for await (const _ of connect(t, bridge).subscribe()) {
    break;
  }
  await ended;
});

test("tells its hooks", async (t) => {
  const fellBehind = { case: "fellBehind", value: { headPosition: 9n, lag: 7n } } as const;
  const bridge = await serve(
    t,
    plays(undefined, opened(0, 5), heartbeat(2, 9), heartbeat(9, 9), { cursor: at(2), kind: fellBehind }, caughtUp(9)),
  );
  const told: unknown[] = [];
  await collect(connect(t, bridge), batchRequest, {
    hooks: {
      connected: ({ epoch, headPosition }) => told.push(epoch, headPosition),
      heartbeat: (_, lag) => told.push(lag),
      fellBehind: ({ lag }) => told.push(lag),
      caughtUp: ({ headPosition }) => told.push(headPosition),
    },
  });
  assert.deepEqual(told, ["e1", 5n, 7n, 0n, 7n, 9n]);
});

test("a hook that throws ends the subscription", async (t) => {
  const bridge = await serve(t, stalls(opened(0, 1)));
  const connected = () => {
    throw new Error("hook");
  };
  await assert.rejects(collect(connect(t, bridge), {}, { hooks: { connected } }), /^Error: hook$/);
});

test("causes are of their classes", () => {
  assert.match(new SilentError(300).message, /300 ms/);
  assert.equal(new EndedError().name, "EndedError");
});

test("single calls", async (t) => {
  const bridge = await serve(t);
  const client = connect(t, bridge);
  const positions: bigint[] = [];
  for await (const { position } of client.listSessionEvents({ sessionId: "s", pageSize: 2 })) {
    positions.push(position);
  }
  assert.deepEqual(positions, [1n, 2n, 3n, 4n, 5n, 6n]);
  assert.deepEqual(
    bridge.pages.map(({ sessionId, pageToken }) => [sessionId, pageToken]),
    [
      ["s", ""],
      ["s", "3"],
      ["s", "5"],
    ],
  );
  await assert.rejects(client.getJournalInfo(), { name: "DeskbridgeError", reason: ErrorReason.JOURNAL_UNAVAILABLE });
  const reason = new Error("enough");
  await assert.rejects(client.getJournalInfo({ signal: AbortSignal.abort(reason) }), reason);
});

test("a signal may be shared by many, and keeps nothing of them", async (t) => {
  const client = connect(t, await serve(t, plays(undefined, opened(0, 1), batch(1), caughtUp(1))));
  const warnings: Error[] = [];
  const note = (warning: Error) => warnings.push(warning);
  process.on("warning", note);
  t.after(() => process.off("warning", note));
  const { signal } = new AbortController();
  await Promise.all(Array.from({ length: 20 }, () => collect(client, batchRequest, { signal })));
  assert.deepEqual(getEventListeners(signal, "abort"), []);
  assert.deepEqual(warnings, []);
});
