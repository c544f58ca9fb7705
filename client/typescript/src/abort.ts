import { setMaxListeners } from "node:events";
import { setTimeout } from "node:timers/promises";

/** The longest delay that a timer takes; it fires at once for a longer one. */
export const maxDelayMs = 2 ** 31 - 1;

/** Waits. Throws the signal's reason when it is aborted before. */
export async function sleep(delayMs: number, signal: AbortSignal): Promise<void> {
  try {
    await setTimeout(Math.min(delayMs, maxDelayMs), undefined, { signal });
  } catch {
    throw signal.reason;
  }
}

/** Returns what the promise does. Throws the signal's reason when it is aborted before. */
export function settledBefore<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) {
      stop();
    }
    signal.addEventListener("abort", stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}

/**
 * A signal that is aborted with its parents, until it is released. AbortSignal.any() would leave something behind in a
 * parent that outlives its children, up to Node 20 at least.
 */
export class LinkedAbort {
  readonly #controller = new AbortController();
  readonly #parents: AbortSignal[];

  constructor(...parents: (AbortSignal | undefined)[]) {
    this.#parents = parents.filter((parent) => parent !== undefined);
    for (const parent of this.#parents) {
      if (parent.aborted) {
        this.abort(parent.reason);
      }
      setMaxListeners(0, parent); // one for each call that is under way, which is no leak to warn of
      parent.addEventListener("abort", this.#follow);
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(reason?: unknown): void {
    this.#controller.abort(reason);
  }

  release(): void {
    for (const parent of this.#parents) {
      parent.removeEventListener("abort", this.#follow);
    }
  }

  readonly #follow = ({ target }: Event) => this.abort((target as AbortSignal).reason);
}
