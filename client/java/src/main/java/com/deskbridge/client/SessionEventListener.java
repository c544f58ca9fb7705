package com.deskbridge.client;

import com.deskbridge.v1.SessionEvent;

/** Is handed the events of a subscription, one at a time, in a thread of the subscription. */
public interface SessionEventListener {
  /**
   * Takes an event, which is consumed when this returns. It may take as long as it likes. What it throws ends the
   * subscription, and the event is the first that the same CursorStore delivers again.
   */
  void onEvent(SessionEvent event);

  /**
   * Nothing comes any more. cause is what a loop over the subscription would have thrown (see {@link Subscription}), or
   * what onEvent has thrown; null after the last event that there is.
   */
  default void onEnd(Throwable cause) {}
}
