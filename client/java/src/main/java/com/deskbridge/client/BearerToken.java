package com.deskbridge.client;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.ClientInterceptors.CheckedForwardingClientCall;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.StatusException;

/** Puts the token into each call's metadata. The source is asked in the thread that makes the call. */
record BearerToken(TokenSource source) implements ClientInterceptor {
  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  @Override
  public <Q, R> ClientCall<Q, R> interceptCall(MethodDescriptor<Q, R> method, CallOptions options, Channel next) {
    return new CheckedForwardingClientCall<>(next.newCall(method, options)) {
      @Override
      protected void checkedStart(Listener<R> listener, Metadata headers) throws StatusException {
        headers.put(AUTHORIZATION, "Bearer " + token());
        delegate().start(listener, headers);
      }
    };
  }

  /**
   * Fails with UNAVAILABLE where the token can't be had, so that a subscription tries again: the place the token comes
   * from may only be down for a moment.
   */
  private String token() throws StatusException {
    try {
      return source.get();
    } catch (Exception e) {
      if (e instanceof InterruptedException) {
        Thread.currentThread().interrupt();
      }
      throw Status.UNAVAILABLE.withDescription("no token: " + e.getMessage()).withCause(e).asException();
    }
  }
}
