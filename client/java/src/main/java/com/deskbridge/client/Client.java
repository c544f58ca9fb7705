package com.deskbridge.client;

import com.deskbridge.v1.GetJournalInfoRequest;
import com.deskbridge.v1.GetJournalInfoResponse;
import com.deskbridge.v1.ListSessionEventsRequest;
import com.deskbridge.v1.SessionEvent;
import com.deskbridge.v1.SessionEventServiceGrpc;
import com.deskbridge.v1.SubscribeRequest;
import io.grpc.Channel;
import io.grpc.ChannelCredentials;
import io.grpc.ManagedChannelBuilder;
import io.grpc.StatusRuntimeException;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * A connection to a bridge. Its methods may be called concurrently; all calls and subscriptions share one connection.
 * It connects when first used, and again whenever needed.
 *
 * <pre>{@code
 * try (Client bridge = Client.builder("127.0.0.1:9090").build();
 *     Subscription events = bridge.subscribe(SubscribeRequest.getDefaultInstance())) {
 *   for (SessionEvent event : events) {
 *     System.out.println(event.getTypeName() + " " + event.getSessionId());
 *   }
 * }
 * }</pre>
 */
public final class Client implements AutoCloseable {
  /** Bounds unary calls; callers set shorter deadlines with {@link io.grpc.Context}. */
  private static final long UNARY_TIMEOUT_SECONDS = 30;

  private final Connection connection;
  private final Set<Subscription> subscriptions = ConcurrentHashMap.newKeySet();
  private volatile boolean closed;

  private Client(Dialer dialer) {
    connection = new Connection(dialer::dial);
  }

  /**
   * Begins a client of the bridge at this address of its gRPC port: "host:port", "unix:/path" or any other gRPC target.
   * An address on this machine (a loopback address, localhost, a unix socket) is reached in plain text, and every other
   * with TLS and the system's roots, unless the builder is told otherwise.
   */
  public static Builder builder(String address) {
    return new Builder(address);
  }

  /** As {@link #subscribe(SubscribeRequest, SubscribeOptions)}, without options. */
  public Subscription subscribe(SubscribeRequest request) {
    return subscribe(request, SubscribeOptions.NONE);
  }

  /** Returns the events that the request asks for, to loop over. The stream is opened when the loop begins. */
  public Subscription subscribe(SubscribeRequest request, SubscribeOptions options) {
    return new Subscription(this, request, options);
  }

  /**
   * Hands the events that the request asks for to the listener, in a thread of the subscription's own. The thread keeps
   * the program alive until the subscription ends or is closed.
   */
  public Subscription subscribe(SubscribeRequest request, SubscribeOptions options, SessionEventListener listener) {
    Subscription subscription = subscribe(request, options);
    subscription.listen(Objects.requireNonNull(listener, "listener"));
    return subscription;
  }

  /**
   * Returns one session's retained events in order: its timeline. Each iteration asks anew, a page at a time, and fails
   * with a {@link DeskbridgeException}.
   */
  public Iterable<SessionEvent> listSessionEvents(ListSessionEventsRequest request) {
    return () -> new SessionEventPages(request, page -> call(stub -> stub.listSessionEvents(page)));
  }

  /**
   * Says where the journal begins and ends.
   *
   * @throws DeskbridgeException when the call fails
   */
  public GetJournalInfoResponse getJournalInfo() {
    return call(stub -> stub.getJournalInfo(GetJournalInfoRequest.getDefaultInstance()));
  }

  /**
   * The connection, for generated stubs of the bridge's other methods. Their errors are gRPC's: see
   * {@link DeskbridgeException#of}. A stream opened on it has none of what a Subscription adds.
   */
  public Channel channel() {
    return connection;
  }

  /**
   * Closes all subscriptions and the connection, and waits for both. Closing again does nothing.
   *
   * @throws java.io.UncheckedIOException when a CursorStore fails; all else is closed
   */
  @Override
  public void close() {
    closed = true;
    RuntimeException failure = null;
    for (Subscription subscription : subscriptions) {
      try {
        subscription.close();
      } catch (RuntimeException e) {
        failure = e;
      }
    }
    connection.close();
    if (failure != null) {
      throw failure;
    }
  }

  Connection connection() {
    return connection;
  }

  /** Takes on a subscription that begins, to close it with the client. */
  void add(Subscription subscription) {
    subscriptions.add(subscription);
    if (closed) {
      throw new CancellationException("the deskbridge client is closed");
    }
  }

  void remove(Subscription subscription) {
    subscriptions.remove(subscription);
  }

  private <T> T call(Function<SessionEventServiceGrpc.SessionEventServiceBlockingStub, T> method) {
    try {
      return method.apply(
          SessionEventServiceGrpc.newBlockingStub(connection)
              .withDeadlineAfter(UNARY_TIMEOUT_SECONDS, TimeUnit.SECONDS));
    } catch (StatusRuntimeException e) {
      throw DeskbridgeException.of(e);
    }
  }

  /** Says how to reach a bridge. */
  public static final class Builder {
    private final String address;
    private ChannelCredentials tls;
    private boolean plaintext;
    private TokenSource token;
    private Consumer<ManagedChannelBuilder<?>> configure = channel -> {};

    private Builder(String address) {
      this.address = Objects.requireNonNull(address, "address");
    }

    /**
     * Uses TLS with these credentials, also on this machine. {@link io.grpc.TlsChannelCredentials} makes them of files:
     * an own authority with {@code trustManager}, a client certificate with {@code keyManager}.
     */
    public Builder tls(ChannelCredentials credentials) {
      this.tls = Objects.requireNonNull(credentials, "credentials");
      return this;
    }

    /**
     * Turns TLS off for an address on another machine: for networks that encrypt underneath, such as a service mesh.
     * Everything crosses the network readable, the token too.
     */
    public Builder plaintext() {
      this.plaintext = true;
      return this;
    }

    /** Sends this bearer token with each call. */
    public Builder token(String token) {
      Objects.requireNonNull(token, "token");
      return token(() -> token);
    }

    /** Sends the bearer token that the source answers with, asked for each call and each reconnect. */
    public Builder token(TokenSource source) {
      this.token = Objects.requireNonNull(source, "source");
      return this;
    }

    /** Changes the gRPC channel before it is built, after everything else: interceptors, tracing, limits. */
    public Builder configure(Consumer<ManagedChannelBuilder<?>> configure) {
      this.configure = Objects.requireNonNull(configure, "configure");
      return this;
    }

    /**
     * Returns the client. It does no I/O.
     *
     * @throws IllegalArgumentException when the address is no gRPC target, or when plaintext and TLS are both asked for
     */
    public Client build() {
      return new Client(new Dialer(address, tls, plaintext, token, configure));
    }
  }
}
