package com.deskbridge.client;

import com.deskbridge.v1.SessionEventServiceGrpc;
import com.deskbridge.v1.SubscribeRequest;
import com.deskbridge.v1.SubscribeResponse;
import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.ConnectivityState;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/**
 * One Subscribe call. It asks for one response more whenever one has been taken, so that a slow reader holds up the
 * bridge instead of filling its own memory. One thread receives; any may cancel.
 */
final class ResponseStream {
  /** A response, or the end when there is none. */
  private record Arrival(SubscribeResponse response, StatusRuntimeException end) {}

  private final ManagedChannel channel;
  private final ClientCall<SubscribeRequest, SubscribeResponse> call;
  /** Holds at most one response, the only one asked for, and the ends. */
  private final BlockingQueue<Arrival> arrivals = new LinkedBlockingQueue<>();

  /** Opens the stream. It does not wait for the bridge: the first receive does. */
  ResponseStream(ManagedChannel channel, SubscribeRequest request) {
    this.channel = channel;
    // What the call tells only goes into the queue: gRPC's network thread may do it.
    call = channel.newCall(
        SessionEventServiceGrpc.getSubscribeMethod(), CallOptions.DEFAULT.withExecutor(Runnable::run));
    call.start(new Listener(), new Metadata());
    call.request(1);
    call.sendMessage(request);
    call.halfClose();
  }

  /**
   * Returns the next response, or null when none came within the patience.
   *
   * @throws DeskbridgeException when the stream has ended, also when the bridge ended it without an error
   */
  SubscribeResponse receive(Duration patience) throws InterruptedException {
    Arrival arrival = arrivals.poll(patience.toNanos(), TimeUnit.NANOSECONDS);
    if (arrival == null) {
      return null;
    }
    if (arrival.end() != null) {
      throw DeskbridgeException.of(arrival.end());
    }
    call.request(1);
    return arrival.response();
  }

  /** Ends the stream, and what waits for it. */
  void cancel() {
    call.cancel("no longer wanted", null);
    arrivals.add(new Arrival(null, Status.CANCELLED.asRuntimeException()));
  }

  ManagedChannel channel() {
    return channel;
  }

  boolean isUnconnected() {
    return channel.getState(false) == ConnectivityState.TRANSIENT_FAILURE;
  }

  private final class Listener extends ClientCall.Listener<SubscribeResponse> {
    @Override
    public void onMessage(SubscribeResponse response) {
      arrivals.add(new Arrival(response, null));
    }

    @Override
    public void onClose(Status status, Metadata trailers) {
      Status cause = status.isOk() ? Status.UNAVAILABLE.withDescription("stream ended by the bridge") : status;
      arrivals.add(new Arrival(null, cause.asRuntimeException(trailers)));
    }
  }
}
