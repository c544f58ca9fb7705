import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { createServer as createHttp2Server, type ServerHttp2Stream } from "node:http2";
import { type AddressInfo, connect as connectSocket, createServer, type Server, type Socket } from "node:net";
import test, { type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Client, Code, DeskbridgeError } from "../src/index.js";
import {
  batch,
  batchRequest,
  caughtUp,
  collect,
  connect,
  opened,
  plays,
  Reconnects,
  type Script,
  ScriptedBridge,
  serve,
  stalls,
  unavailable,
  until,
} from "./scripted.js";

/** A relay whose connections can vanish: they stay open, and nothing passes any more. */
class Relay {
  address = "";
  accepted = 0;
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;

  constructor(target: string) {
    const [host, port] = target.split(":");
    this.#server = createServer((near) => {
      this.accepted++;
      const far = connectSocket(Number(port), host);
      for (const socket of [near, far]) {
        this.#sockets.add(socket);
        socket.on("error", () => undefined);
      }
      near.pipe(far).pipe(near);
    });
  }

  async listen(t: TestContext): Promise<void> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    this.address = `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    t.after(() => {
      this.#server.close();
      for (const socket of this.#sockets) {
        socket.destroy();
      }
    });
  }

  vanish(): void {
    for (const socket of this.#sockets) {
      socket.unpipe();
      socket.pause();
    }
  }
}

test("a connection that vanished is left, by all that use it", async (t) => {
  const bridge = await serve(
    t,
    stalls(opened(0, 2), batch(1)),
    stalls(opened(0, 2), batch(1)),
    plays(undefined, opened(1, 2), batch(2), caughtUp(2)),
  );
  const relay = new Relay(bridge.address);
  await relay.listen(t);
  const client = connect(t, relay);
  const { causes, hooks } = new Reconnects();
  let waiting = 2;
  const consume = async () => {
    const positions: bigint[] = [];
    const request = { ...batchRequest, heartbeatInterval: durationFromMs(200) };
    for await (const { position } of client.subscribe(request, { hooks })) {
      positions.push(position);
      if (position === 1n && --waiting === 0) {
        relay.vanish();
      }
    }
    return positions;
  };
  const [first, second] = await Promise.all([consume(), consume()]);
  assert.deepEqual(
    [first, second],
    [
      [1n, 2n],
      [1n, 2n],
    ],
  );
  assert.equal(causes[0]?.name, "SilentError");
  assert.ok(relay.accepted >= 2 && causes.length <= 10, `${relay.accepted} connections, ${causes.length} reconnects`);
});

test("a bridge that restarts is found again", async (t) => {
  const scripts = [stalls(opened(0, 2), batch(1)), plays(undefined, opened(1, 2), batch(2), caughtUp(2))];
  const bridge = await serve(t, ...scripts);
  const again = new ScriptedBridge(...scripts.slice(1));
  t.after(() => again.stop());
  const codes: unknown[] = [];
  const reconnecting = (cause: Error) => {
    codes.push(cause instanceof DeskbridgeError && cause.code);
    if (codes.length === 2) {
      void again.listen(Number(bridge.address.split(":")[1])); // after the cut, and a connection that was refused
    }
  };
  const positions: bigint[] = [];
  for await (const { position } of connect(t, bridge).subscribe(batchRequest, { hooks: { reconnecting } })) {
    positions.push(position);
    if (position === 1n) {
      await bridge.stop();
    }
  }
  assert.deepEqual(positions, [1n, 2n]);
  assert.deepEqual(new Set(codes), new Set([Code.Unavailable]));
});

test("subscriptions share a connection", async (t) => {
  const bridge = await serve(t, plays(undefined, opened(0, 1), batch(1), caughtUp(1)));
  const client = connect(t, bridge);
  await Promise.all(Array.from({ length: 20 }, () => collect(client)));
  assert.equal(bridge.sessions, 1);
});

const troubles: Record<string, Script> = { refused: plays(unavailable()), silent: stalls() };

for (const [name, trouble] of Object.entries(troubles)) {
  test(`a subscription in trouble disturbs no other: ${name}`, async (t) => {
    const bridge = await serve(t, stalls(opened(0, 1), batch(1)), trouble);
    const client = connect(t, bridge);
    const controller = new AbortController();
    const { causes, hooks } = new Reconnects();
    const well = collect(client, {}, { hooks, signal: controller.signal });
    await until(() => bridge.requests.length === 1);
    const request = { heartbeatInterval: durationFromMs(50) };
    const inTrouble = collect(client, request, { signal: controller.signal });
    await until(() => bridge.requests.length >= 4);
    controller.abort();
    await Promise.allSettled([well, inTrouble]);
    assert.deepEqual(causes, []);
  });
}

/** Serves HTTP/2 that is not what a bridge would say, once; then refuses. */
async function serveRaw(t: TestContext, answer: (stream: ServerHttp2Stream) => void): Promise<{ address: string }> {
  const server = createHttp2Server();
  server.on("stream", (stream) => {
    stream.on("error", () => undefined);
    answer(stream);
  });
  server.on("session", (session) => t.after(() => session.destroy()));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}` };
}

const brokenStreams: Record<string, (stream: ServerHttp2Stream) => void> = {
  "half a message": (stream) => {
    stream.respond({ ":status": 200, "content-type": "application/grpc" });
    stream.end(Buffer.from([0, 0, 0, 0, 9, 1]));
  },
  "no status": (stream) => {
    stream.respond({ ":status": 200, "content-type": "application/grpc" });
    stream.end();
  },
  "a reset": (stream) => stream.close(0xd), // HTTP_1_1_REQUIRED
  "a proxy's page": (stream) => {
    stream.respond({ ":status": 502, "content-type": "text/html" });
    stream.end("<html>");
  },
};

for (const [name, answer] of Object.entries(brokenStreams)) {
  test(`a broken stream is temporary: ${name}`, async (t) => {
    const client = connect(t, await serveRaw(t, answer));
    const controller = new AbortController();
    const reconnecting = (cause: Error) => controller.abort(cause);
    await assert.rejects(collect(client, {}, { signal: controller.signal, hooks: { reconnecting } }), {
      name: "DeskbridgeError",
      code: Code.Unavailable,
    });
  });
}

test("a proxy that forbids is final", async (t) => {
  const client = connect(t, await serveRaw(t, (stream) => stream.respond({ ":status": 403 }, { endStream: true })));
  await assert.rejects(collect(client, {}), { name: "DeskbridgeError", code: Code.PermissionDenied });
});

test("a GOAWAY that crosses the close is nobody's error", async (t) => {
  const bridge = await serve(t, plays(undefined, opened(0, 0), caughtUp(0)));
  for (let turns = 0; turns < 20; turns++) {
    const client = connect(t, bridge);
    await collect(client);
    bridge.goAway();
    for (let turn = 0; turn < turns; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    client.close();
  }
});

test("faulty options are refused", () => {
  const faulty = [
    { address: "" },
    { address: "bridge" },
    { address: "https://bridge:9090" },
    { address: "bridge:99999" },
    { address: "bridge:9090", plaintext: true, tls: {} },
  ];
  for (const options of faulty) {
    assert.throws(() => new Client(options), TypeError, JSON.stringify(options));
  }
});

const run = promisify(execFile);
const library = JSON.stringify(new URL("../src/index.js", import.meta.url));

/** Programs that end by themselves only when nothing is left behind. */
const programs: Record<string, string> = {
  "left and closed": "for await (const e of client.subscribe()) break; client.close();",
  "left, not closed": "for await (const e of client.subscribe()) break;",
  "left by an exception": "try { for await (const e of client.subscribe()) throw 1; } catch {}",
  aborted: "try { for await (const e of client.subscribe({}, { signal: AbortSignal.timeout(50) })) ; } catch {}",
  "closed while in use":
    "setTimeout(() => client.close(), 50); try { for await (const e of client.subscribe()) ; } catch {}",
  "closed while connecting": "const end = client.getJournalInfo().catch(() => {}); client.close(); await end;",
  "a call": "try { await client.getJournalInfo(); } catch {}",
  "not used": "",
};

for (const [name, body] of Object.entries(programs)) {
  test(`nothing keeps the program alive: ${name}`, async (t) => {
    const many = Array.from({ length: 20_000 }, (_, i) => i + 1);
    const bridge = await serve(t, stalls(opened(0, 20_000), batch(...many), batch(...many), batch(...many)));
    const code = `import { Client } from ${library}; const client = new Client({ address: "${bridge.address}" }); ${body}`;
    const options = { cwd: fileURLToPath(new URL(".", import.meta.url)), timeout: 30_000 };
    await run(process.execPath, ["--input-type=module", "--eval", code], options);
  });
}
