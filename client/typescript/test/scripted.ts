// A bridge that plays scripts, over real HTTP/2.
import { once } from "node:events";
import { createSecureServer, createServer, type Http2Server, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { setTimeout } from "node:timers/promises";
import type { SecureContextOptions } from "node:tls";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type ConnectRouter, type HandlerContext } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import {
  Client,
  type ErrorDetail,
  ErrorDetailSchema,
  formatCursor,
  type Hooks,
  type ListSessionEventsRequest,
  type ListSessionEventsResponseSchema,
  SessionEventService,
  type SubscribeOptions,
  type SubscribeRequest,
  type SubscribeResponseSchema,
} from "../src/index.js";

type Response = MessageInitShape<typeof SubscribeResponseSchema>;
type Page = MessageInitShape<typeof ListSessionEventsResponseSchema>;
/** Plays the bridge for one stream. */
export type Script = (context: HandlerContext) => AsyncIterable<Response>;

/** Answers each Subscribe call with the next script, and the calls after the last with that one again. */
export class ScriptedBridge {
  readonly requests: SubscribeRequest[] = [];
  readonly headers: Headers[] = [];
  readonly pages: ListSessionEventsRequest[] = [];
  sessions = 0;
  address = "";
  #server: Http2Server | undefined;
  readonly #open = new Set<ServerHttp2Session>();
  readonly #scripts: Script[];

  constructor(...scripts: Script[]) {
    this.#scripts = scripts;
  }

  /** Where streams were opened: "" where no cursor was given. */
  get starts(): string[] {
    return this.requests.map(({ start }) => (start.case === "afterCursor" ? start.value : ""));
  }

  async listen(port = 0, tls?: SecureContextOptions & { requestCert?: boolean }): Promise<void> {
    const handler = connectNodeAdapter({ routes: (router) => this.#route(router) });
    this.#server = tls ? createSecureServer(tls, handler) : createServer(handler);
    this.#server.on("session", (session) => {
      this.sessions++;
      this.#open.add(session);
      session.on("close", () => this.#open.delete(session));
    });
    this.#server.listen(port, "127.0.0.1");
    await once(this.#server, "listening");
    this.address = `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Stops at once, as a process that is killed. */
  async stop(): Promise<void> {
    const server = this.#server;
    if (server?.listening) {
      const closed = once(server, "close");
      server.close();
      for (const session of this.#open) {
        session.destroy();
      }
      await closed;
    }
  }

  /** Tells all clients to go away, as a bridge that shuts down. */
  goAway(): void {
    for (const session of this.#open) {
      session.goaway();
    }
  }

  #route(router: ConnectRouter): void {
    router.service(SessionEventService, {
      subscribe: (request, context) => {
        this.requests.push(request);
        this.headers.push(context.requestHeader);
        const script = this.#scripts[Math.min(this.requests.length, this.#scripts.length) - 1];
        return script?.(context) ?? plays(undefined)(context);
      },
      listSessionEvents: (request): Page => {
        this.pages.push(request);
        const first = BigInt(request.pageToken || "1");
        const nextPageToken = first < 5n ? String(first + 2n) : "";
        return { events: [{ position: first }, { position: first + 1n }], nextPageToken };
      },
      getJournalInfo: () => {
        throw failure(Code.Unavailable, { reason: 10 });
      },
    });
  }
}

export async function serve(t: TestContext, ...scripts: Script[]): Promise<ScriptedBridge> {
  const bridge = new ScriptedBridge(...scripts);
  await bridge.listen();
  t.after(() => bridge.stop());
  return bridge;
}

export function connect(t: TestContext, bridge: { address: string }, options: object = {}): Client {
  const client = new Client({ address: bridge.address, ...options });
  t.after(() => client.close());
  return client;
}

/** Sends the responses and ends with the error. */
export function plays(end: ConnectError | undefined, ...responses: Response[]): Script {
  return async function* () {
    yield* responses;
    if (end) {
      throw end;
    }
  };
}

/** Sends the responses and then nothing, until the client gives up. */
export function stalls(...responses: Response[]): Script {
  return async function* ({ signal }) {
    yield* responses;
    await once(signal, "abort");
  };
}

export const epoch = "e1";

export const at = (position: number) => formatCursor(epoch, BigInt(position));

export function opened(start: number, head: number): Response {
  const value = { epoch, startPosition: BigInt(start), headPosition: BigInt(head) };
  return { cursor: at(start), kind: { case: "opened", value } };
}

/** Has events at the positions. */
export function batch(...positions: number[]): Response {
  const events = positions.map((position) => ({ position: BigInt(position) }));
  return { cursor: at(Math.max(...positions)), kind: { case: "events", value: { events } } };
}

export function heartbeat(position: number, head: number): Response {
  return { cursor: at(position), kind: { case: "heartbeat", value: { headPosition: BigInt(head) } } };
}

export function caughtUp(head: number): Response {
  return { cursor: at(head), kind: { case: "caughtUp", value: { headPosition: BigInt(head) } } };
}

export const unavailable = () => new ConnectError("the network is down", Code.Unavailable);

export function failure(code: Code, detail: Partial<Omit<ErrorDetail, "$typeName">>): ConnectError {
  return new ConnectError("no", code, undefined, [{ desc: ErrorDetailSchema, value: detail }]);
}

/** Asks for what there is. */
export const batchRequest = { stopWhenCaughtUp: true };

/** Loops to the end and returns the positions. */
export async function collect(
  client: Client,
  request: Parameters<Client["subscribe"]>[0] = batchRequest,
  options?: SubscribeOptions,
): Promise<number[]> {
  const positions: number[] = [];
  for await (const { position } of client.subscribe(request, options)) {
    positions.push(Number(position));
  }
  return positions;
}

/** Waits for a condition; the test's own timeout bounds it. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) {
    await setTimeout(10);
  }
}

/** Records what Hooks.reconnecting is told. */
export class Reconnects {
  readonly causes: Error[] = [];
  readonly delays: number[] = [];
  readonly hooks: Hooks = {
    reconnecting: (cause, delayMs) => {
      this.causes.push(cause);
      this.delays.push(delayMs);
    },
  };
}
