import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after, before } from "node:test";
import { promisify } from "node:util";
import { baseUrl } from "../src/address.js";
import { Code, DeskbridgeError, tokenFile } from "../src/index.js";
import { caughtUp, collect, connect, opened, plays, Reconnects, ScriptedBridge, serve, stalls } from "./scripted.js";

const quiet = plays(undefined, opened(0, 0), caughtUp(0));

let directory: string;
let cert: Buffer;
let key: Buffer;

/** One certificate, for 127.0.0.1, is the authority, the bridge's and the client's. */
before(async () => {
  directory = await mkdtemp(join(tmpdir(), "deskbridge-"));
  const files = ["-keyout", join(directory, "key.pem"), "-out", join(directory, "cert.pem")];
  const kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
  const name = ["-subj", "/CN=bridge", "-addext", "subjectAltName=IP:127.0.0.1"];
  await promisify(execFile)("openssl", ["req", ...kind, ...files, ...name]);
  [cert, key] = await Promise.all([readFile(join(directory, "cert.pem")), readFile(join(directory, "key.pem"))]);
});

after(() => rm(directory, { recursive: true }));

test("the token is read anew for each call, over TLS", async (t) => {
  const bridge = new ScriptedBridge(quiet);
  await bridge.listen(0, { cert, key });
  t.after(() => bridge.stop());
  const path = join(directory, "token");
  const client = connect(t, bridge, { tls: { ca: cert }, token: tokenFile(path) });
  for (const token of ["first", "second"]) {
    await writeFile(path, `${token}\n`);
    await collect(client);
  }
  const sent = bridge.headers.map((headers) => headers.get("authorization"));
  assert.deepEqual(sent, ["Bearer first", "Bearer second"]);
});

test("the client shows its certificate", async (t) => {
  const bridge = new ScriptedBridge(quiet);
  await bridge.listen(0, { cert, key, ca: cert, requestCert: true });
  t.after(() => bridge.stop());
  await collect(connect(t, bridge, { tls: { ca: cert, cert, key } }));
  const { hooks, causes } = new Reconnects();
  const signal = AbortSignal.timeout(300);
  await assert.rejects(collect(connect(t, bridge, { tls: { ca: cert } }), {}, { hooks, signal }));
  assert.notDeepEqual(causes, []);
  assert.equal(bridge.requests.length, 1);
});

test("a certificate of an authority that is not known is refused", async (t) => {
  const bridge = new ScriptedBridge(quiet);
  await bridge.listen(0, { cert, key });
  t.after(() => bridge.stop());
  await assert.rejects(connect(t, bridge, { tls: {} }).getJournalInfo(), (error) => {
    assert.ok(error instanceof DeskbridgeError);
    assert.equal(error.code, Code.Unavailable);
    assert.match(error.message, /self.signed certificate/);
    return true;
  });
});

test("the token is sent in plain text on this machine", async (t) => {
  const bridge = await serve(t, quiet);
  await collect(connect(t, bridge, { token: "secret" }));
  assert.equal(bridge.headers[0]?.get("authorization"), "Bearer secret");
});

test("no token is sent when there is none", async (t) => {
  const bridge = await serve(t, quiet);
  await collect(connect(t, bridge));
  assert.equal(bridge.headers[0]?.get("authorization"), null);
});

test("a token that can't be had is asked for again", async (t) => {
  const bridge = await serve(t, quiet);
  let asked = 0;
  const token = () => {
    if (++asked === 1) {
      throw new Error("issuer is down");
    }
    return "secret";
  };
  const { hooks, causes } = new Reconnects();
  await collect(connect(t, bridge, { token }), undefined, { hooks });
  assert.equal(bridge.headers[0]?.get("authorization"), "Bearer secret");
  assert.deepEqual(
    causes.map((cause) => cause instanceof DeskbridgeError && [cause.code, cause.message]),
    [[Code.Unavailable, "no token: issuer is down"]],
  );
});

test("a token that never comes holds up neither the signal nor the close", async (t) => {
  const client = connect(t, await serve(t, stalls()), { token: () => new Promise<string>(() => undefined) });
  await assert.rejects(collect(client, {}, { signal: AbortSignal.timeout(50) }), { name: "TimeoutError" });
  setTimeout(() => client.close(), 50);
  await assert.rejects(collect(client, {}), { name: "ClosedError" });
});

test("failures of the token's file are told of", async () => {
  const path = join(directory, "empty");
  await assert.rejects(tokenFile(path)(), { code: "ENOENT" });
  await writeFile(path, " \n");
  await assert.rejects(tokenFile(path)(), /is empty/);
});

test("only addresses on this machine are plain text by themselves", () => {
  const tls = {};
  assert.equal(baseUrl({ address: "127.0.0.1:1" }), "http://127.0.0.1:1");
  assert.equal(baseUrl({ address: "localhost:1" }), "http://localhost:1");
  assert.equal(baseUrl({ address: "[::1]:1" }), "http://[::1]:1");
  assert.equal(baseUrl({ address: "127.0.0.1:1", tls }), "https://127.0.0.1:1");
  assert.equal(baseUrl({ address: "127.example.com:1" }), "https://127.example.com:1");
  assert.equal(baseUrl({ address: "localhost.example.com:1" }), "https://localhost.example.com:1");
  assert.equal(baseUrl({ address: "10.0.0.1:1" }), "https://10.0.0.1:1");
  assert.equal(baseUrl({ address: "[fe80::1]:1" }), "https://[fe80::1]:1");
  assert.equal(baseUrl({ address: "10.0.0.1:1", plaintext: true }), "http://10.0.0.1:1");
});
