package com.deskbridge.client;

import com.deskbridge.v1.CaughtUp;
import com.deskbridge.v1.Draining;
import com.deskbridge.v1.FellBehind;
import com.deskbridge.v1.Heartbeat;
import com.deskbridge.v1.SubscriptionOpened;
import java.time.Duration;

/**
 * Is told of what happens around the events. The methods run in the thread that takes the events, between two of them,
 * and should return soon. What they throw ends the subscription.
 */
public interface Hooks {
  /** A stream is open, for the first time or again. It has a gap where {@code expired} is set. */
  default void onConnected(SubscriptionOpened opened) {}

  /** All events there were have been delivered. */
  default void onCaughtUp(CaughtUp caughtUp) {}

  /** The loop takes events more slowly than they arrive. Nothing is lost. */
  default void onFellBehind(FellBehind fellBehind) {}

  /**
   * Nothing has matched for the heartbeat interval. lag is how many events of the journal, matching or not, the bridge
   * has yet to look at for this stream: 0 when it is only quiet.
   */
  default void onHeartbeat(Heartbeat heartbeat, long lag) {}

  /** The bridge is about to end the stream, and the client will reconnect. */
  default void onDraining(Draining draining) {}

  /** The stream ended, or could not be opened, and the next attempt comes after the delay. */
  default void onReconnecting(DeskbridgeException cause, Duration delay) {}
}
