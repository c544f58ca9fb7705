import { durationMs } from "@bufbuild/protobuf/wkt";
import { LinkedAbort } from "./abort.js";
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
  readonly #link: LinkedAbort;
  readonly #watchdog: Watchdog;
  readonly #responses: AsyncIterator<SubscribeResponse>;

  constructor(connection: Connection, request: SubscribeRequest, signal: AbortSignal) {
    this.#link = new LinkedAbort(signal);
    const silenceMs = missedHeartbeats * heartbeatMs(request);
    this.#watchdog = new Watchdog(silenceMs, () => this.#link.abort(new SilentError(silenceMs)));
    this.#responses = connection.service.subscribe(request, { signal: this.#link.signal })[Symbol.asyncIterator]();
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
      this.#link.signal.throwIfAborted();
      throw asError(error);
    } finally {
      this.#watchdog.stop();
    }
    throw new EndedError();
  }

  /** Ends the call. */
  close(): void {
    this.#link.abort();
    this.#link.release();
  }
}

function heartbeatMs({ heartbeatInterval }: SubscribeRequest): number {
  const requested = heartbeatInterval ? durationMs(heartbeatInterval) : 0;
  return requested > 0 ? requested : defaultHeartbeatMs;
}
