package com.deskbridge.client;

import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.TlsChannelCredentials;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.regex.Pattern;

/** How to reach a bridge. tls and token are null when not set. */
record Dialer(
    String address,
    ChannelCredentials tls,
    boolean plaintext,
    TokenSource token,
    Consumer<ManagedChannelBuilder<?>> configure) {

  private static final Pattern LOOPBACK = Pattern.compile("localhost|127(\\.\\d{1,3}){3}|::1");
  private static final Pattern HOST = Pattern.compile("(?:dns:)?/*(?:\\[(?<v6>[^]]*)]|(?<name>[^:]*))(?::\\d+)?");

  Dialer {
    if (address.isBlank()) {
      throw new IllegalArgumentException("the address is empty");
    }
    if (plaintext && tls != null) {
      throw new IllegalArgumentException("plaintext and TLS exclude each other");
    }
  }

  /** Returns a new channel, which connects when used. */
  ManagedChannel dial() {
    // Together they notice a dead connection before the third heartbeat of ten seconds is missed.
    ManagedChannelBuilder<?> channel =
        Grpc.newChannelBuilder(address, credentials())
            .keepAliveTime(15, TimeUnit.SECONDS)
            .keepAliveTimeout(10, TimeUnit.SECONDS);
    if (token != null) {
      channel.intercept(new BearerToken(token));
    }
    configure.accept(channel);
    return channel.build();
  }

  private ChannelCredentials credentials() {
    if (tls != null) {
      return tls;
    }
    return plaintext || isLocal(address) ? InsecureChannelCredentials.create() : TlsChannelCredentials.create();
  }

  /**
   * Says whether a gRPC target can only be on this machine. A name other than localhost never is: what it resolves to
   * may change.
   */
  static boolean isLocal(String target) {
    if (target.startsWith("unix:")) {
      return true;
    }
    var host = HOST.matcher(target);
    return host.matches()
        && LOOPBACK.matcher(host.group("v6") != null ? host.group("v6") : host.group("name")).matches();
  }
}
