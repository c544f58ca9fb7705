import { durationMs } from "@bufbuild/protobuf/wkt";
import type { Connection } from "./connection.js";
import { asError, EndedError, SilentError } from "./error.js";
import type { SubscribeRequest, SubscribeResponse } from "./gen/deskbridge/v1/session_event_service_pb.js";
import { Watchdog } from "./watchdog.js";

const defaultHeartbeatMs = 10_000;
/** How many heartbeats a stream may miss in a row. */
const missedHeartbeats = 3;

/**
 * One call of Subscribe, that ends when it is silent for too long. It is watched only while it is waited for: a loop body
 * may take as long as it likes.
 */
export class ResponseStream {
  readonly #cut = new AbortController();
  readonly #signal: AbortSignal;
  readonly #watchdog: Watchdog;
  readonly #responses: AsyncIterator<SubscribeResponse>;

  constructor(connection: Connection, request: SubscribeRequest, signal: AbortSignal) {
    this.#signal = AbortSignal.any([signal, this.#cut.signal]);
    const silenceMs = missedHeartbeats * heartbeatMs(request);
    this.#watchdog = new Watchdog(silenceMs, () => this.#cut.abort(new SilentError(silenceMs)));
    this.#responses = connection.service.subscribe(request, { signal: this.#signal })[Symbol.asyncIterator]();
  }

  /** Returns the next response. Throws why the stream ended, and the signal's reason when it was aborted. */
  async receive(): Promise<SubscribeResponse> {
    this.#watchdog.start();
    try {
      const { done, value } = await this.#responses.next();
      if (!done) {
        return value;
      }
    } catch (error) {
      this.#signal.throwIfAborted();
      throw asError(error);
    } finally {
      this.#watchdog.stop();
    }
    throw new EndedError();
  }

  /** Ends the call. */
  close(): void {
    this.#cut.abort();
  }
}

function heartbeatMs({ heartbeatInterval }: SubscribeRequest): number {
  const requested = heartbeatInterval ? durationMs(heartbeatInterval) : 0;
  return requested > 0 ? requested : defaultHeartbeatMs;
}
