import { clone } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { sleep } from "./abort.js";
import { Backoff, minBackoffMs } from "./backoff.js";
import type { SharedConnection } from "./connection.js";
import { type CursorStore, CursorStoreError, positionOf } from "./cursor.js";
import { isTemporary, SilentError } from "./error.js";
import type { SessionEvent } from "./gen/deskbridge/v1/session_event_pb.js";
import {
  type Draining,
  type Heartbeat,
  type SubscribeRequest,
  SubscribeRequestSchema,
  type SubscribeResponse,
  type SubscriptionOpened,
} from "./gen/deskbridge/v1/session_event_service_pb.js";
import type { Hooks } from "./hooks.js";
import { Progress } from "./progress.js";
import { ResponseStream } from "./stream.js";

/** What a subscription may be given that is not part of the request. */
export interface SubscribeOptions {
  /**
   * Resumes the subscription where the store says, and keeps it up to date. A cursor in the store goes before the
   * request's start.
   */
  cursorStore?: CursorStore;
  /** Told of what happens around the events. */
  hooks?: Hooks;
  /** Ends the subscription: the loop throws the signal's reason. */
  signal?: AbortSignal;
}

/** Why a stream ended that another is to follow, and how long the bridge asked to wait before. */
interface End {
  cause: Error;
  delayMs: number | undefined;
}

/** What outlives a stream: all of one loop. */
export class Subscription {
  readonly #connection: SharedConnection;
  readonly #request: SubscribeRequest;
  readonly #hooks: Hooks;
  readonly #signal: AbortSignal;
  readonly #progress: Progress;
  readonly #backoff = new Backoff();

  /** The signal ends it, with its reason; that of the options is left to the caller. */
  constructor(
    connection: SharedConnection,
    request: SubscribeRequest,
    options: Omit<SubscribeOptions, "signal">,
    signal: AbortSignal,
  ) {
    this.#connection = connection;
    this.#request = request;
    this.#hooks = options.hooks ?? {};
    this.#signal = signal;
    this.#progress = new Progress(options.cursorStore);
  }

  /** To be used once. */
  async *events(): AsyncGenerator<SessionEvent, void, undefined> {
    await this.#progress.load(this.#signal);
    let failure: unknown;
    try {
      yield* this.#followUntilFinal();
    } catch (error) {
      failure = error;
    } finally {
      // Also when the loop is left. Of two failures the first is the one to report.
      await this.#saveFinally(failure);
    }
    if (failure !== undefined) {
      throw failure;
    }
  }

  async #saveFinally(failure: unknown): Promise<void> {
    if (failure instanceof CursorStoreError) {
      return;
    }
    try {
      await this.#progress.saveFinally();
    } catch (error) {
      throw failure ?? error;
    }
  }

  /** Follows one stream after the other. */
  async *#followUntilFinal(): AsyncGenerator<SessionEvent, void, undefined> {
    for (let end = yield* this.#follow(); end; end = yield* this.#follow()) {
      const delayMs = end.delayMs ?? this.#backoff.next();
      this.#hooks.reconnecting?.(end.cause, delayMs);
      await sleep(delayMs, this.#signal);
    }
  }

  /** Opens a stream and consumes it to its end, which it returns; nothing when no other is to follow. */
  async *#follow(): AsyncGenerator<SessionEvent, End | undefined, undefined> {
    const connection = this.#connection.begin();
    const stream = new ResponseStream(connection, this.#nextRequest(), this.#signal);
    let delayMs: number | undefined;
    try {
      for (;;) {
        const response = await stream.receive();
        delayMs = delayAsked(response) ?? delayMs;
        yield* this.#consume(response);
        if (response.kind.case === "caughtUp" && this.#request.stopWhenCaughtUp) {
          return undefined;
        }
        // At once behind what is not events, and rare: the stream has caught up, or is quiet.
        if (response.kind.case !== "events" || this.#progress.isSaveDue) {
          await this.#progress.save(this.#signal);
        }
      }
    } catch (cause) {
      if (cause instanceof SilentError) {
        this.#connection.replace(connection);
      }
      if (isTemporary(cause)) {
        return { cause, delayMs };
      }
      throw cause;
    } finally {
      stream.close();
      this.#connection.end(connection);
    }
  }

  #nextRequest(): SubscribeRequest {
    const request = clone(SubscribeRequestSchema, this.#request);
    if (this.#progress.cursor !== "") {
      request.start = { case: "afterCursor", value: this.#progress.cursor };
    }
    return request;
  }

  /** Hands on what a response says, and advances behind it. A kind that is newer than this client only advances. */
  async *#consume({ cursor, kind }: SubscribeResponse): AsyncGenerator<SessionEvent, void, undefined> {
    switch (kind.case) {
      case "opened":
        this.#open(kind.value);
        break;
      case "events":
        yield* this.#deliver(kind.value.events);
        break;
      case "heartbeat":
        this.#beat(kind.value, cursor);
        break;
      case "caughtUp":
        this.#hooks.caughtUp?.(kind.value);
        break;
      case "fellBehind":
        this.#hooks.fellBehind?.(kind.value);
        break;
      case "draining":
        this.#hooks.draining?.(kind.value);
        break;
    }
    this.#progress.advance(cursor);
  }

  #open(opened: SubscriptionOpened): void {
    this.#progress.opened(opened.epoch, opened.startPosition);
    this.#hooks.connected?.(opened);
  }

  #beat(heartbeat: Heartbeat, cursor: string): void {
    this.#backoff.reset();
    const lag = heartbeat.headPosition - positionOf(cursor);
    this.#hooks.heartbeat?.(heartbeat, lag > 0n ? lag : 0n);
  }

  /** Yields the events that are new. An event that the loop is left with is not consumed. */
  async *#deliver(events: SessionEvent[]): AsyncGenerator<SessionEvent, void, undefined> {
    this.#backoff.reset();
    for (const event of events) {
      const { position } = event; // the event belongs to the loop, which may modify it
      if (position <= this.#progress.position) {
        continue;
      }
      yield event;
      this.#progress.consumed(position);
      this.#signal.throwIfAborted();
      if (this.#progress.isSaveDue) {
        await this.#progress.save(this.#signal);
      }
    }
  }
}

function delayAsked({ kind }: SubscribeResponse): number | undefined {
  return kind.case === "draining" ? reconnectDelayMs(kind.value) : undefined;
}

function reconnectDelayMs({ reconnectDelay }: Draining): number {
  return Math.max(reconnectDelay ? durationMs(reconnectDelay) : 0, minBackoffMs);
}
