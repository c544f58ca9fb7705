package com.deskbridge.client;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ManagedChannel;
import io.grpc.MethodDescriptor;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/** A channel that can be replaced by a new one while it is in use. Safe for concurrent use. */
final class Connection extends Channel {
  private static final long CLOSE_TIMEOUT_SECONDS = 5;

  private final Supplier<ManagedChannel> dialer;
  /** Channels that have been replaced and may still be shutting down. */
  private final List<ManagedChannel> retired = new ArrayList<>();

  private ManagedChannel current;
  private boolean closed;

  Connection(Supplier<ManagedChannel> dialer) {
    this.dialer = dialer;
    current = dialer.get();
  }

  synchronized ManagedChannel current() {
    return current;
  }

  /**
   * Has the next calls use a new channel, for the caller's is dead or can't connect; unless another subscription has
   * seen to that already.
   *
   * <p>A connection whose far end vanished without a word looks healthy for as long as TCP keeps trying: a new stream
   * on it would be as silent as the old one. And one that could not be made waits out gRPC's own backoff, and fails
   * all calls meanwhile, although the bridge may be back. With a new one the next attempt dials at once, at the pace
   * of our backoff alone.
   *
   * <p>Nobody else's call is cut for that: the connection may serve others well, as when a proxy has a stream wait
   * until others on its connection end.
   */
  synchronized void replace(ManagedChannel channel) {
    if (channel != current || closed) {
      return;
    }
    current = dialer.get();
    retired.removeIf(ManagedChannel::isTerminated);
    retired.add(channel.shutdown()); // closes when the last call on it has ended
  }

  /** Ends all calls and waits until the connections are gone, or some seconds. */
  void close() {
    List<ManagedChannel> channels;
    synchronized (this) {
      closed = true;
      channels = new ArrayList<>(retired);
      channels.add(current);
    }
    channels.forEach(ManagedChannel::shutdownNow);
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(CLOSE_TIMEOUT_SECONDS);
    try {
      for (ManagedChannel channel : channels) {
        channel.awaitTermination(deadline - System.nanoTime(), TimeUnit.NANOSECONDS);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  @Override
  public <Q, R> ClientCall<Q, R> newCall(MethodDescriptor<Q, R> method, CallOptions options) {
    return current().newCall(method, options);
  }

  @Override
  public String authority() {
    return current().authority();
  }
}
