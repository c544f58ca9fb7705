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
