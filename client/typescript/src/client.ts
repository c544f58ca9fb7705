import { clone, create, type MessageInitShape } from "@bufbuild/protobuf";
import { type ClientOptions, type Service, SharedConnection } from "./connection.js";
import { asError } from "./error.js";
import type { SessionEvent } from "./gen/deskbridge/v1/session_event_pb.js";
import {
  type GetJournalInfoResponse,
  ListSessionEventsRequestSchema,
  type SubscribeRequest,
  SubscribeRequestSchema,
} from "./gen/deskbridge/v1/session_event_service_pb.js";
import { type SubscribeOptions, Subscription } from "./subscription.js";

/** What a single call may be given beside its request. */
export interface CallOptions {
  /** Ends the call with the signal's reason: AbortSignal.timeout() gives it a deadline. */
  signal?: AbortSignal;
}

/**
 * A connection to a bridge. All calls and subscriptions share one HTTP/2 connection, which is made when it is first
 * used, and again whenever needed. An idle one does not keep the program alive.
 */
export class Client {
  readonly #connection: SharedConnection;

  /** Does no I/O. Throws a TypeError when an option is wrong. */
  constructor(options: ClientOptions) {
    this.#connection = new SharedConnection(options);
  }

  /** Ends all calls and subscriptions with a ClosedError. Closing again does nothing. */
  close(): void {
    this.#connection.close();
  }

  /**
   * Returns the events that the request asks for: each once and in order, across cuts of the connection and restarts of
   * the bridge.
   *
   * An event counts as consumed when the loop comes back for the next one. When the loop is left by break, by return or
   * by an exception, the event it was left with is the first that the same CursorStore delivers again.
   *
   * The loop ends
   * - normally after the last event that there is, when the request has stopWhenCaughtUp;
   * - with a DeskbridgeError where only the application can tell how to go on: a cursor that is expired, malformed, of
   *   another epoch or in the future, an invalid request or filter, missing permission, a damaged journal, something
   *   that is not served;
   * - with the signal's reason when options.signal is aborted, with a ClosedError when the client is closed, with a
   *   CursorStoreError when the store fails, and with whatever a hook throws.
   *
   * Everything else (connections refused or cut, a bridge that restarts or drains, a stream silent for three heartbeat
   * intervals, a reader that was too slow) is mended within: the client reconnects behind the last event consumed, with
   * growing, jittered delays of at most ten seconds. Hooks tell.
   *
   * The request is copied. Each call is a subscription of its own, for one loop.
   */
  subscribe(
    request: MessageInitShape<typeof SubscribeRequestSchema> = {},
    options: SubscribeOptions = {},
  ): AsyncGenerator<SessionEvent, void, undefined> {
    const copy = clone(SubscribeRequestSchema, create(SubscribeRequestSchema, request));
    return this.#follow(copy, options);
  }

  async *#follow(request: SubscribeRequest, options: SubscribeOptions): AsyncGenerator<SessionEvent, void, undefined> {
    const link = this.#connection.link(options.signal);
    try {
      yield* new Subscription(this.#connection, request, options, link.signal).events();
    } finally {
      link.release();
    }
  }

  /** Returns one session's retained events in order: its timeline. It asks for a page when the loop needs it. */
  async *listSessionEvents(
    request: MessageInitShape<typeof ListSessionEventsRequestSchema>,
    options: CallOptions = {},
  ): AsyncGenerator<SessionEvent, void, undefined> {
    const page = clone(ListSessionEventsRequestSchema, create(ListSessionEventsRequestSchema, request));
    do {
      const response = await this.#call(options, (service, signal) => service.listSessionEvents(page, { signal }));
      yield* response.events;
      page.pageToken = response.nextPageToken;
    } while (page.pageToken !== "");
  }

  /** Says where the journal begins and ends. */
  getJournalInfo(options: CallOptions = {}): Promise<GetJournalInfoResponse> {
    return this.#call(options, (service, signal) => service.getJournalInfo({}, { signal }));
  }

  async #call<T>(options: CallOptions, invoke: (service: Service, signal: AbortSignal) => Promise<T>): Promise<T> {
    const link = this.#connection.link(options.signal);
    const connection = this.#connection.begin();
    try {
      link.signal.throwIfAborted();
      return await invoke(connection.service, link.signal);
    } catch (error) {
      link.signal.throwIfAborted();
      throw asError(error);
    } finally {
      this.#connection.end(connection);
      link.release();
    }
  }
}
