/**
 * Keeps one subscription's cursor over restarts of the program. The client calls one method at a time. A failure of
 * either ends the subscription with a CursorStoreError.
 *
 * A cursor is saved after the loop has come back from the events before it, so that a crash never skips one. It
 * delivers again what the loop has consumed since the last save: the events of about a second at most. To have each
 * event take effect exactly once, save formatCursor of it in the same transaction as its effect, and give subscribe a
 * store that loads it and whose save does nothing.
 */
export interface CursorStore {
  /** Returns the cursor saved last; "" when there is none. */
  load(signal: AbortSignal): Promise<string>;
  /**
   * Replaces it. It is called at most once a second behind events, at once when the stream has caught up or is quiet,
   * and when the loop ends. The signal is aborted with the subscription; for the last call, it is one that ends after
   * five seconds.
   */
  save(cursor: string, signal: AbortSignal): Promise<void>;
}

/** A CursorStore failed: `cause` is its error. */
export class CursorStoreError extends Error {
  override readonly name = "CursorStoreError";

  constructor(cause: unknown) {
    super(`cursor store: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** Keeps the cursor for as long as the program runs: so that a loop that ended can be entered again where it stopped. */
export class MemoryCursorStore implements CursorStore {
  #cursor = "";

  async load(): Promise<string> {
    return this.#cursor;
  }

  async save(cursor: string): Promise<void> {
    this.#cursor = cursor;
  }
}

/** Returns the cursor behind an event: epoch is that of Hooks.connected, position the event's. */
export function formatCursor(epoch: string, position: bigint): string {
  return `${epoch}:${position}`;
}

/** Returns the position in a cursor, 0 when it has none. */
export function positionOf(cursor: string): bigint {
  const digits = /(?:^|:)(\d+)$/.exec(cursor)?.[1];
  return digits === undefined ? 0n : BigInt(digits);
}
