// Against the daemon itself.
import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import test, { after, before } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ErrorReason, MemoryCursorStore, StartPosition } from "../src/index.js";
import { collect, connect, Reconnects } from "./scripted.js";

const root = fileURLToPath(new URL("../../../..", import.meta.url));
const earliest = { case: "startPosition", value: StartPosition.EARLIEST } as const;

class Daemon {
  address = "127.0.0.1:0";
  #http = "127.0.0.1:0";
  readonly #directory: string;
  #process: ChildProcess | undefined;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Starts, again on the same ports. */
  async start(): Promise<void> {
    const data = ["--data-dir", join(this.#directory, "data")];
    const flags = ["--http-addr", this.#http, "--grpc-addr", this.address, "--drain-spread", "50ms", ...data];
    const child = spawn(join(this.#directory, "deskbridge"), flags, { stdio: ["ignore", "ignore", "pipe"] });
    this.#process = child;
    for await (const line of createInterface({ input: child.stderr })) {
      const addresses = /deskbridge is ready" http=(\S+) grpc=(\S+)/.exec(line);
      if (addresses?.[1] && addresses[2]) {
        [this.#http, this.address] = [addresses[1], addresses[2]];
        child.stderr.resume();
        return;
      }
    }
    throw new Error("the daemon ended");
  }

  async stop(signal: NodeJS.Signals): Promise<void> {
    if (this.#process?.exitCode === null && this.#process.signalCode === null) {
      const exit = once(this.#process, "exit");
      this.#process.kill(signal);
      await exit;
    }
  }

  async post(session: string, event: string): Promise<void> {
    const query = "SdkAppid=1600012345&CallbackCommand=Desk.SessionEventNotify&contenttype=json";
    const body = {
      CallbackCommand: "Desk.SessionEventNotify",
      SessionId: session,
      Event: event,
      EventTime: Date.now(),
    };
    const url = `http://${this.#http}/v1/callbacks/desk?${query}&RequestID=${crypto.randomUUID()}`;
    const response = await fetch(url, { method: "POST", body: JSON.stringify(body) });
    assert.match(await response.text(), /"ActionStatus":"OK"/);
  }
}

let directory: string;
let daemon: Daemon;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), "deskbridge-"));
  await promisify(execFile)("go", ["build", "-o", directory, "./server/cmd/deskbridge"], { cwd: root });
  daemon = new Daemon(directory);
  await daemon.start();
});

after(async () => {
  await daemon.stop("SIGKILL");
  await rm(directory, { recursive: true });
});

test("a filtered subscription outlives restarts of the bridge", async (t) => {
  const client = connect(t, daemon);
  const reconnects = new Reconnects();
  const seen: string[] = [];
  const request = { start: earliest, filter: { typeNames: ["Human.*"] } };
  await daemon.post("s1", "Human.UserSendMsg");
  for await (const event of client.subscribe(request, { hooks: reconnects.hooks })) {
    seen.push(`${event.sessionId} ${event.typeName}`);
    if (seen.length === 3) {
      break;
    }
    await daemon.stop(seen.length === 1 ? "SIGTERM" : "SIGKILL");
    await daemon.start();
    await daemon.post("s2", "SessionEnd");
    await daemon.post("s2", "Human.AgentSendMsg");
  }
  assert.deepEqual(seen, ["s1 Human.UserSendMsg", "s2 Human.AgentSendMsg", "s2 Human.AgentSendMsg"]);
  assert.ok(reconnects.causes.length >= 2);
});

test("the timeline of a session, and the journal's ends", async (t) => {
  const client = connect(t, daemon);
  const events = ["SessionBegin", "Human.UserSendMsg", "SessionEnd"];
  for (const event of events) {
    await daemon.post("timeline", event);
  }
  const timeline: (string | undefined)[] = [];
  for await (const { typeName } of client.listSessionEvents({ sessionId: "timeline", pageSize: 2 })) {
    timeline.push(typeName);
  }
  assert.deepEqual(timeline, events);
  const info = await client.getJournalInfo();
  assert.ok(info.eventCount >= 3n && info.latestCursor.startsWith(info.epoch));
  await assert.rejects(collect(client, { start: { case: "afterCursor", value: `${info.epoch}:99999` } }), {
    name: "DeskbridgeError",
    code: Code.OutOfRange,
    reason: ErrorReason.CURSOR_IN_FUTURE,
    latestCursor: info.latestCursor,
  });
});

test("a program that was held up reads before it judges", async (t) => {
  const reconnects = new Reconnects();
  const cursorStore = new MemoryCursorStore();
  const client = connect(t, daemon);
  const controller = new AbortController();
  let beats = 0;
  const heartbeat = () => {
    if (++beats === 1) {
      // While the subscription waits, for longer than its watchdog does, and just before timers have their turn.
      setTimeout(() => setImmediate(holdUp, 4_000), 100);
    } else if (beats === 4) {
      controller.abort();
    }
  };
  const request = { heartbeatInterval: durationFromMs(1_000) };
  const options = { cursorStore, signal: controller.signal, hooks: { ...reconnects.hooks, heartbeat } };
  await assert.rejects(collect(client, request, options), { name: "AbortError" });
  assert.deepEqual(reconnects.causes, []);
  assert.equal(await cursorStore.load(), (await client.getJournalInfo()).latestCursor);
});

/** Holds the whole program up. */
function holdUp(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
