import { maxDelayMs } from "./abort.js";

/** Bites when it was started and not stopped for too long. */
export class Watchdog {
  readonly #patienceMs: number;
  readonly #bite: () => void;
  #timer: NodeJS.Timeout | undefined;
  #verdict: NodeJS.Immediate | undefined;

  constructor(patienceMs: number, bite: () => void) {
    this.#patienceMs = Math.min(patienceMs, maxDelayMs);
    this.#bite = bite;
  }

  start(): void {
    this.#timer = setTimeout(() => this.#hesitate(), this.#patienceMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#verdict);
  }

  /**
   * Lets the program read its sockets first: after something else has held it up for long, timers come before what has
   * arrived meanwhile.
   */
  #hesitate(): void {
    this.#verdict = setImmediate(this.#bite);
  }
}
