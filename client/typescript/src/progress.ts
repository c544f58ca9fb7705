import { type CursorStore, CursorStoreError, formatCursor, positionOf } from "./cursor.js";

/**
 * How often a cursor is saved behind events: the store may sync a disk each time, and a busy stream has thousands of
 * batches a second.
 */
const saveIntervalMs = 1_000;
/** Bounds the save after the loop, whose signal may have been aborted. */
const finalSaveMs = 5_000;

/** How far a subscription has come. */
export class Progress {
  readonly #store: CursorStore | undefined;
  #cursor = "";
  #position = 0n;
  #epoch = "";
  #savedCursor = "";
  #savedAt = 0;

  constructor(store: CursorStore | undefined) {
    this.#store = store;
  }

  /** Where to resume: behind all that has been consumed. "" at the very start. */
  get cursor(): string {
    return this.#cursor;
  }

  /** That of the last event consumed, or further. Events up to it are repeats. */
  get position(): bigint {
    return this.#position;
  }

  opened(epoch: string, start: bigint): void {
    this.#epoch = epoch;
    this.#moveTo(start);
  }

  /** Moves behind an event. */
  consumed(position: bigint): void {
    this.#position = position;
    this.#cursor = formatCursor(this.#epoch, position);
  }

  /** Moves to a cursor that the bridge gave. */
  advance(cursor: string): void {
    if (cursor !== "") {
      this.#cursor = cursor;
      this.#moveTo(positionOf(cursor));
    }
  }

  #moveTo(position: bigint): void {
    if (position > this.#position) {
      this.#position = position;
    }
  }

  async load(signal: AbortSignal): Promise<void> {
    try {
      this.advance((await this.#store?.load(signal)) ?? "");
    } catch (error) {
      throw new CursorStoreError(error);
    }
    this.#savedCursor = this.#cursor;
  }

  async save(signal: AbortSignal): Promise<void> {
    if (!this.#store || this.#cursor === this.#savedCursor) {
      return;
    }
    const cursor = this.#cursor;
    try {
      await this.#store.save(cursor, signal);
    } catch (error) {
      throw new CursorStoreError(error);
    }
    this.#savedCursor = cursor;
    this.#savedAt = performance.now();
  }

  /**
   * Whether the last save is some time ago. All that is not saved was consumed within that time after it, so that a
   * crash repeats no more.
   */
  get isSaveDue(): boolean {
    return this.#store !== undefined && performance.now() - this.#savedAt >= saveIntervalMs;
  }

  /** Saves when the loop has ended, though its signal may have been aborted. */
  saveFinally(): Promise<void> {
    return this.save(AbortSignal.timeout(finalSaveMs));
  }
}
