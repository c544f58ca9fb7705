import type {
  CaughtUp,
  Draining,
  FellBehind,
  Heartbeat,
  SubscriptionOpened,
} from "./gen/deskbridge/v1/session_event_service_pb.js";

/**
 * Told of what happens around the events. They are called between two events, while the loop waits, and should return
 * soon. What one throws ends the subscription.
 */
export interface Hooks {
  /** A stream is open, for the first time or again. It has a gap where `expired` is set. */
  connected?(opened: SubscriptionOpened): void;
  /** All events there were have been delivered. */
  caughtUp?(caughtUp: CaughtUp): void;
  /** The loop takes events more slowly than they arrive. Nothing is lost. */
  fellBehind?(fellBehind: FellBehind): void;
  /**
   * Nothing has matched for the heartbeat interval. lag is how many events of the journal, matching or not, the bridge
   * has yet to look at for this stream: 0 when it is only quiet.
   */
  heartbeat?(heartbeat: Heartbeat, lag: bigint): void;
  /** The bridge is about to end the stream, and the client will reconnect. */
  draining?(draining: Draining): void;
  /** The stream ended, or could not be opened, and the next attempt comes after the delay. */
  reconnecting?(cause: Error, delayMs: number): void;
}
