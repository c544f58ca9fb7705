package com.deskbridge.client;

import com.deskbridge.v1.SubscribeRequest;
import com.deskbridge.v1.SubscribeResponse;
import io.grpc.Status;
import java.time.Duration;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/**
 * One stream after the other, as one sequence of responses. One thread takes them; any may close.
 *
 * <p>A stream that is silent for too long is dead, and its connection with it. Only the wait for a response counts: a
 * loop body may take as long as it likes.
 */
final class Streams {
  private static final Duration DEFAULT_HEARTBEAT = Duration.ofSeconds(10);
  /** How many heartbeats a stream may miss in a row. */
  private static final int MISSED_HEARTBEATS = 3;

  private final Connection connection;
  private final Hooks hooks;
  private final Supplier<SubscribeRequest> request;
  private final Duration patience;
  private final Backoff backoff = new Backoff();
  private final CountDownLatch closed = new CountDownLatch(1);

  /** The stream that is open; null between two. */
  private volatile ResponseStream stream;
  /** How long the bridge asked to wait before the next stream; null when it did not. */
  private Duration drainingDelay;

  /** request is asked for what to open each stream with; heartbeat is 0 for the contract's default. */
  Streams(Connection connection, Hooks hooks, Duration heartbeat, Supplier<SubscribeRequest> request) {
    this.connection = connection;
    this.hooks = hooks;
    this.request = request;
    patience = (heartbeat.isZero() || heartbeat.isNegative() ? DEFAULT_HEARTBEAT : heartbeat)
        .multipliedBy(MISSED_HEARTBEATS);
  }

  /**
   * Returns the next response, however many streams it takes.
   *
   * @throws DeskbridgeException when only the application can tell how to go on
   * @throws CancellationException when closed
   */
  SubscribeResponse next() throws InterruptedException {
    while (true) {
      try {
        return receive();
      } catch (DeskbridgeException cause) {
        mend(cause);
      }
    }
  }

  /** Ends the stream, and makes next end. */
  void close() {
    closed.countDown();
    ResponseStream open = stream;
    if (open != null) {
      open.cancel();
    }
  }

  boolean isClosed() {
    return closed.getCount() == 0;
  }

  static CancellationException closedException() {
    return new CancellationException("the subscription is closed");
  }

  private SubscribeResponse receive() throws InterruptedException {
    if (stream == null) {
      open();
    }
    SubscribeResponse response = stream.receive(patience);
    if (response == null) {
      connection.replace(stream.channel());
      throw DeskbridgeException.of(
          Status.UNAVAILABLE.withDescription("no heartbeat from the bridge for " + patience).asRuntimeException());
    }
    heed(response);
    return response;
  }

  private void open() {
    drainingDelay = null;
    stream = new ResponseStream(connection.current(), request.get());
    if (isClosed()) { // meanwhile, and close may not have seen the stream
      stream.cancel();
    }
  }

  /** Only what a stream is for shows that it is well: to be opened does not. */
  private void heed(SubscribeResponse response) {
    switch (response.getKindCase()) {
      case EVENTS, HEARTBEAT -> backoff.reset();
      case DRAINING -> drainingDelay = atLeastMinimum(duration(response.getDraining().getReconnectDelay()));
      default -> {}
    }
  }

  /** Waits for the time of the next stream, unless this end is final. */
  private void mend(DeskbridgeException cause) throws InterruptedException {
    leave();
    if (isClosed()) {
      throw closedException();
    }
    if (!cause.isTemporary()) {
      throw cause;
    }
    Duration delay = drainingDelay != null ? drainingDelay : backoff.next();
    hooks.onReconnecting(cause, delay);
    if (closed.await(delay.toNanos(), TimeUnit.NANOSECONDS)) {
      throw closedException();
    }
  }

  private void leave() {
    stream.cancel();
    if (stream.isUnconnected()) {
      connection.replace(stream.channel());
    }
    stream = null;
  }

  private static Duration atLeastMinimum(Duration delay) {
    return delay.compareTo(Backoff.MIN) < 0 ? Backoff.MIN : delay;
  }

  static Duration duration(com.google.protobuf.Duration duration) {
    return Duration.ofSeconds(duration.getSeconds(), duration.getNanos());
  }
}
