package com.deskbridge.client;

import com.deskbridge.v1.CaughtUp;
import com.deskbridge.v1.Draining;
import com.deskbridge.v1.ErrorDetail;
import com.deskbridge.v1.ErrorReason;
import com.deskbridge.v1.EventBatch;
import com.deskbridge.v1.FellBehind;
import com.deskbridge.v1.GetJournalInfoRequest;
import com.deskbridge.v1.GetJournalInfoResponse;
import com.deskbridge.v1.Heartbeat;
import com.deskbridge.v1.ListSessionEventsRequest;
import com.deskbridge.v1.ListSessionEventsResponse;
import com.deskbridge.v1.SessionEvent;
import com.deskbridge.v1.SessionEventServiceGrpc.SessionEventServiceImplBase;
import com.deskbridge.v1.SubscribeRequest;
import com.deskbridge.v1.SubscribeResponse;
import com.deskbridge.v1.SubscriptionOpened;
import com.google.protobuf.Any;
import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.Grpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.Metadata;
import io.grpc.Server;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerCredentials;
import io.grpc.ServerInterceptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** A gRPC server that answers each Subscribe call with the next script, and those after the last with that again. */
final class ScriptedBridge extends SessionEventServiceImplBase implements AutoCloseable {
  static final String EPOCH = "e1";

  /** Plays the bridge for one stream. */
  interface Script {
    void play(SubscribeRequest request, StreamObserver<SubscribeResponse> stream);
  }

  private static final Context.Key<String> AUTHORIZATION = Context.key("authorization");

  final List<SubscribeRequest> requests = new CopyOnWriteArrayList<>();
  final List<String> authorizations = Collections.synchronizedList(new ArrayList<>());
  /** Counted down when a client gives a stream up. */
  final CountDownLatch cancelled = new CountDownLatch(1);

  private final List<Script> scripts;
  private final Server server;

  ScriptedBridge(Script... scripts) throws IOException {
    this(0, InsecureServerCredentials.create(), scripts);
  }

  ScriptedBridge(int port, ServerCredentials credentials, Script... scripts) throws IOException {
    this.scripts = List.of(scripts);
    server = Grpc.newServerBuilderForPort(port, credentials)
        .directExecutor() // no script blocks
        .addService(this)
        .intercept(new Authorization())
        .build()
        .start();
  }

  int port() {
    return server.getPort();
  }

  String address() {
    return "127.0.0.1:" + port();
  }

  Client client() {
    return Client.builder(address()).build();
  }

  /** The cursors that streams were opened after. */
  List<String> starts() {
    return requests.stream().map(SubscribeRequest::getAfterCursor).toList();
  }

  @Override
  public void close() {
    server.shutdownNow();
    try {
      server.awaitTermination(30, TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  @Override
  public void subscribe(SubscribeRequest request, StreamObserver<SubscribeResponse> stream) {
    Script script;
    synchronized (scripts) {
      requests.add(request);
      authorizations.add(AUTHORIZATION.get());
      script = scripts.get(Math.min(requests.size(), scripts.size()) - 1);
    }
    ((ServerCallStreamObserver<SubscribeResponse>) stream).setOnCancelHandler(cancelled::countDown);
    script.play(request, stream);
  }

  /** Three pages of one event each. */
  @Override
  public void listSessionEvents(ListSessionEventsRequest request, StreamObserver<ListSessionEventsResponse> call) {
    int page = request.getPageToken().isEmpty() ? 1 : Integer.parseInt(request.getPageToken());
    call.onNext(ListSessionEventsResponse.newBuilder()
        .addEvents(event(page).toBuilder().setSessionId(request.getSessionId()))
        .setNextPageToken(page < 3 ? String.valueOf(page + 1) : "")
        .build());
    call.onCompleted();
  }

  @Override
  public void getJournalInfo(GetJournalInfoRequest request, StreamObserver<GetJournalInfoResponse> call) {
    call.onError(failure(Status.Code.UNAVAILABLE, ErrorDetail.newBuilder()
        .setReason(ErrorReason.ERROR_REASON_JOURNAL_UNAVAILABLE).build()));
  }

  private static final class Authorization implements ServerInterceptor {
    @Override
    public <Q, R> ServerCall.Listener<Q> interceptCall(
        ServerCall<Q, R> call, Metadata headers, ServerCallHandler<Q, R> next) {
      String value = headers.get(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER));
      return Contexts.interceptCall(Context.current().withValue(AUTHORIZATION, value), call, headers, next);
    }
  }

  /** Sends the responses and ends normally. */
  static Script plays(SubscribeResponse... responses) {
    return (request, stream) -> {
      List.of(responses).forEach(stream::onNext);
      stream.onCompleted();
    };
  }

  /** Sends the responses and ends with the error. */
  static Script fails(Throwable end, SubscribeResponse... responses) {
    return (request, stream) -> {
      List.of(responses).forEach(stream::onNext);
      stream.onError(end);
    };
  }

  /** Sends the responses and then nothing, until the client gives up. */
  static Script stalls(SubscribeResponse... responses) {
    return (request, stream) -> List.of(responses).forEach(stream::onNext);
  }

  static StatusRuntimeException unavailable() {
    return Status.UNAVAILABLE.withDescription("the network is down").asRuntimeException();
  }

  static StatusRuntimeException failure(Status.Code code, ErrorDetail detail) {
    return StatusProto.toStatusRuntimeException(com.google.rpc.Status.newBuilder()
        .setCode(code.value())
        .setMessage("for people")
        .addDetails(Any.pack(detail))
        .build());
  }

  static String at(long position) {
    return Cursors.format(EPOCH, position);
  }

  static SessionEvent event(long position) {
    return SessionEvent.newBuilder().setPosition(position).build();
  }

  static SubscribeResponse opened(long start, long head) {
    return SubscribeResponse.newBuilder()
        .setCursor(at(start))
        .setOpened(SubscriptionOpened.newBuilder().setEpoch(EPOCH).setStartPosition(start).setHeadPosition(head))
        .build();
  }

  static SubscribeResponse batch(long... positions) {
    EventBatch.Builder events = EventBatch.newBuilder();
    for (long position : positions) {
      events.addEvents(event(position));
    }
    return SubscribeResponse.newBuilder().setCursor(at(positions[positions.length - 1])).setEvents(events).build();
  }

  static SubscribeResponse heartbeat(long position, long head) {
    return SubscribeResponse.newBuilder()
        .setCursor(at(position))
        .setHeartbeat(Heartbeat.newBuilder().setHeadPosition(head))
        .build();
  }

  static SubscribeResponse caughtUp(long head) {
    return SubscribeResponse.newBuilder()
        .setCursor(at(head))
        .setCaughtUp(CaughtUp.newBuilder().setHeadPosition(head))
        .build();
  }

  static SubscribeResponse fellBehind(long position, long head) {
    return SubscribeResponse.newBuilder()
        .setCursor(at(position))
        .setFellBehind(FellBehind.newBuilder().setHeadPosition(head).setLag(head - position))
        .build();
  }

  static SubscribeResponse draining(long position, Duration delay) {
    return SubscribeResponse.newBuilder()
        .setCursor(at(position))
        .setDraining(Draining.newBuilder().setReconnectDelay(
            com.google.protobuf.Duration.newBuilder().setSeconds(delay.toSeconds()).setNanos(delay.toNanosPart())))
        .build();
  }

  /** Something of a kind that is newer than the client. */
  static SubscribeResponse unknown(long position) {
    return SubscribeResponse.newBuilder().setCursor(at(position)).build();
  }
}
