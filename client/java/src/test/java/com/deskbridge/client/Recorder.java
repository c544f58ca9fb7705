package com.deskbridge.client;

import com.deskbridge.v1.CaughtUp;
import com.deskbridge.v1.Draining;
import com.deskbridge.v1.FellBehind;
import com.deskbridge.v1.Heartbeat;
import com.deskbridge.v1.SessionEvent;
import com.deskbridge.v1.SubscribeRequest;
import com.deskbridge.v1.SubscriptionOpened;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** Remembers what a subscription delivers and what its hooks are told. */
final class Recorder implements Hooks {
  /** A request for what there is. */
  static final SubscribeRequest ALL = SubscribeRequest.newBuilder().setStopWhenCaughtUp(true).build();

  final List<Long> positions = new ArrayList<>();
  final List<Object> told = new ArrayList<>();
  final List<DeskbridgeException> causes = new ArrayList<>();
  final List<Duration> delays = new ArrayList<>();

  /** Loops to the end. */
  void collect(Client client, SubscribeRequest request, SubscribeOptions options) {
    try (Subscription events = client.subscribe(request, options.withHooks(this))) {
      for (SessionEvent event : events) {
        positions.add(event.getPosition());
      }
    }
  }

  void collect(Client client) {
    collect(client, ALL, SubscribeOptions.NONE);
  }

  @Override
  public void onConnected(SubscriptionOpened opened) {
    told.add("connected " + opened.getHeadPosition());
  }

  @Override
  public void onCaughtUp(CaughtUp caughtUp) {
    told.add("caught up " + caughtUp.getHeadPosition());
  }

  @Override
  public void onFellBehind(FellBehind fellBehind) {
    told.add("fell behind " + fellBehind.getLag());
  }

  @Override
  public void onHeartbeat(Heartbeat heartbeat, long lag) {
    told.add("heartbeat " + lag);
  }

  @Override
  public void onDraining(Draining draining) {
    told.add("draining");
  }

  @Override
  public void onReconnecting(DeskbridgeException cause, Duration delay) {
    causes.add(cause);
    delays.add(delay);
  }
}
