import type { ClientHttp2Stream } from "node:http2";
import type { ConnectionOptions } from "node:tls";
import { Code, ConnectError, createClient, type Interceptor, type Client as ServiceClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { LinkedAbort } from "./abort.js";
import { baseUrl } from "./address.js";
import { bearer, type Token } from "./credentials.js";
import { ClosedError } from "./error.js";
import { SessionEventService } from "./gen/deskbridge/v1/session_event_service_pb.js";

/** How to reach a bridge. */
export interface ClientOptions {
  /** Address of the bridge's gRPC port, as "host:port". */
  address: string;

  /**
   * TLS is used to reach the bridge, with these options: `ca` for its authority, `cert` and `key` for a certificate of
   * the client's own. When absent, an address on this machine (a loopback address, localhost) is reached in plain text,
   * and every other with TLS and the authorities that come with Node.
   */
  tls?: ConnectionOptions;

  /**
   * Turns TLS off for an address on another machine: for networks that encrypt underneath, such as a service mesh.
   * Everything crosses the network readable, the token too.
   */
  plaintext?: boolean;

  /**
   * The bearer token to send, or a function that returns it, which is asked before each call and each reconnect. When
   * the function fails, the call fails with Code.Unavailable, and a subscription tries again. See tokenFile.
   */
  token?: Token;

  /** Run around each call and each stream, for instance to trace them. */
  interceptors?: Interceptor[];
}

/** The generated client. */
export type Service = ServiceClient<typeof SessionEventService>;

/** Together they notice a dead connection before the third heartbeat of ten seconds is missed. */
const keepalive = { pingIntervalMs: 15_000, pingTimeoutMs: 10_000 };

/**
 * Its HTTP/2 sessions always have someone who hears their errors. The manager stops listening to a session that it gives
 * up: an error that the session reports after that, such as a GOAWAY that crossed the close, would end the program.
 */
class Sessions extends Http2SessionManager {
  override async request(...call: Parameters<Http2SessionManager["request"]>): Promise<ClientHttp2Stream> {
    const stream = await super.request(...call);
    if (!stream.session?.listeners("error").includes(ignore)) {
      stream.session?.on("error", ignore);
    }
    return stream;
  }
}

function ignore(): void {}

/** One HTTP/2 connection. It is made when first used; one that could not be made, or ended, is made anew. */
export class Connection {
  readonly service: Service;
  /** How many calls are on it. */
  calls = 0;
  readonly #sessions: Sessions;

  constructor(options: ClientOptions) {
    const url = baseUrl(options);
    this.#sessions = new Sessions(url, keepalive, options.tls ?? {});
    const interceptors = [...(options.interceptors ?? []), ...(options.token ? [bearer(options.token)] : [])];
    const transport = createGrpcTransport({ baseUrl: url, sessionManager: this.#sessions, interceptors });
    this.service = createClient(SessionEventService, transport);
  }

  /** Ends all calls on it. */
  close(): void {
    this.#sessions.abort(new ConnectError("the connection was given up", Code.Unavailable));
  }
}

/** The connection that all calls of a client share. */
export class SharedConnection {
  readonly #options: ClientOptions;
  readonly #closed = new AbortController();
  #current: Connection;
  /** Those that were replaced, each until the last call on it has ended. */
  readonly #retired = new Set<Connection>();

  constructor(options: ClientOptions) {
    this.#options = { ...options };
    this.#current = new Connection(this.#options);
  }

  /** Returns the connection for a call, which must end there. */
  begin(): Connection {
    this.#current.calls++;
    return this.#current;
  }

  end(connection: Connection): void {
    if (--connection.calls === 0 && this.#retired.delete(connection)) {
      connection.close();
    }
  }

  /** Links to the signal, and to the client: when that is closed, the reason is a ClosedError. */
  link(signal: AbortSignal | undefined): LinkedAbort {
    return new LinkedAbort(signal, this.#closed.signal);
  }

  /**
   * Has the next calls use a new connection, for the caller's is dead; unless another subscription has seen to that
   * already. A connection whose far end vanished without a word looks healthy for as long as TCP keeps trying: a new
   * stream on it would be as silent as the old one.
   *
   * Nobody else's call is cut for that: the connection may serve others well, as when a proxy has a stream wait until
   * others on its connection end.
   */
  replace(dead: Connection): void {
    if (this.#current !== dead || this.#closed.signal.aborted) {
      return;
    }
    this.#current = new Connection(this.#options);
    this.#retired.add(dead);
  }

  close(): void {
    this.#closed.abort(new ClosedError());
    for (const connection of [this.#current, ...this.#retired]) {
      connection.close();
    }
  }
}
