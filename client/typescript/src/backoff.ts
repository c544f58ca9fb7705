export const minBackoffMs = 100;
const maxBackoffMs = 10_000;

/**
 * Paces attempts: from 100 ms, doubling, to 10 s. Each delay is drawn from the upper half of its range, so that clients cut
 * by one restart don't come back as one.
 */
export class Backoff {
  #ceilingMs = 0;

  next(): number {
    this.#ceilingMs = Math.min(Math.max(this.#ceilingMs * 2, minBackoffMs), maxBackoffMs);
    return (this.#ceilingMs * (1 + Math.random())) / 2;
  }

  reset(): void {
    this.#ceilingMs = 0;
  }
}
