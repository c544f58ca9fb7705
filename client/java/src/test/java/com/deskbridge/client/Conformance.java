package com.deskbridge.client;

import com.deskbridge.v1.CaughtUp;
import com.deskbridge.v1.Draining;
import com.deskbridge.v1.ErrorReason;
import com.deskbridge.v1.FellBehind;
import com.deskbridge.v1.Heartbeat;
import com.deskbridge.v1.SessionEvent;
import com.deskbridge.v1.SubscribeRequest;
import com.deskbridge.v1.SubscriptionOpened;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.util.JsonFormat;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;

/**
 * Runs one subscription for the conformance suite: what to do comes as a line of JSON, what happens goes out as lines
 * of JSON. It ends by itself: a thread that the client left behind would keep it alive. With the argument "listener" it
 * is handed its events instead of looping over them.
 */
public final class Conformance implements Hooks, SessionEventListener {
  private final PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
  private final BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
  private final JsonFormat.Printer printer = JsonFormat.printer().omittingInsignificantWhitespace();
  private final JsonObject scenario;
  private final CompletableFuture<JsonObject> listenerEnd = new CompletableFuture<>();
  private int count;

  private Conformance() throws IOException {
    scenario = JsonParser.parseString(in.readLine()).getAsJsonObject();
  }

  public static void main(String[] args) throws Exception {
    Conformance conformance = new Conformance();
    JsonObject end = List.of(args).contains("listener") ? conformance.listen() : conformance.loop();
    conformance.print("end", end);
  }

  private JsonObject loop() throws IOException {
    try (Client bridge = client();
        Subscription events = bridge.subscribe(request("request"), options())) {
      cancelOnDemand(events);
      besides(bridge);
      for (SessionEvent event : events) {
        onEvent(event);
      }
      return end(null);
    } catch (RuntimeException e) {
      return end(e);
    }
  }

  private JsonObject listen() throws IOException {
    try (Client bridge = client();
        Subscription events = bridge.subscribe(request("request"), options(), this)) {
      cancelOnDemand(events);
      besides(bridge);
      return listenerEnd.join();
    }
  }

  /** Leaves a loop. A listener has no other way either. */
  private static final class Left extends RuntimeException {
    private static final long serialVersionUID = 1;
  }

  @Override
  public void onEvent(SessionEvent event) {
    try {
      print(event);
      if (++count == number("limit")) {
        throw new Left();
      }
      Thread.sleep(number("delayMs"));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  @Override
  public void onEnd(Throwable cause) {
    listenerEnd.complete(end(cause));
  }

  /** Begins the second subscription, if there is to be one. It ends with the client. */
  private void besides(Client bridge) throws IOException {
    if (scenario.has("beside")) {
      bridge.subscribe(request("beside"), SubscribeOptions.NONE, event -> {});
    }
  }

  private SubscribeRequest request(String name) throws IOException {
    SubscribeRequest.Builder request = SubscribeRequest.newBuilder();
    JsonFormat.parser().merge(scenario.get(name).toString(), request);
    return request.build();
  }

  private Client client() {
    Client.Builder builder = Client.builder(text("address"));
    if (!text("token").isEmpty()) {
      builder.token(text("token"));
    }
    return builder.build();
  }

  private SubscribeOptions options() {
    SubscribeOptions options = SubscribeOptions.NONE.withHooks(this);
    String file = text("cursorFile");
    return file.isEmpty() ? options : options.withCursorStore(new FileCursorStore(Path.of(file)));
  }

  /** Closes the subscription at the line "cancel" or the end of the input. */
  private void cancelOnDemand(Subscription events) {
    Thread reader = new Thread(() -> {
      try {
        String line;
        do {
          line = in.readLine();
        } while (line != null && !line.equals("cancel"));
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      } finally {
        events.close();
      }
    });
    reader.setDaemon(true);
    reader.start();
  }

  @Override
  public void onConnected(SubscriptionOpened opened) {
    state("connected", "epoch", opened.getEpoch(), "start", Long.toUnsignedString(opened.getStartPosition()),
        "head", Long.toUnsignedString(opened.getHeadPosition()));
  }

  @Override
  public void onCaughtUp(CaughtUp caughtUp) {
    state("caught_up", "head", Long.toUnsignedString(caughtUp.getHeadPosition()));
  }

  @Override
  public void onFellBehind(FellBehind fellBehind) {
    state("fell_behind", "head", Long.toUnsignedString(fellBehind.getHeadPosition()),
        "lag", Long.toUnsignedString(fellBehind.getLag()));
  }

  @Override
  public void onHeartbeat(Heartbeat heartbeat, long lag) {
    state("heartbeat", "lag", Long.toUnsignedString(lag));
  }

  @Override
  public void onDraining(Draining draining) {
    state("draining", "delayMs", Streams.duration(draining.getReconnectDelay()).toMillis());
  }

  @Override
  public void onReconnecting(DeskbridgeException cause, Duration delay) {
    String reason = cause.reason() == ErrorReason.ERROR_REASON_UNSPECIFIED ? "" : name(cause.reason());
    state("reconnecting", "reason", reason, "delayMs", delay.toMillis());
  }

  private void print(SessionEvent event) throws InvalidProtocolBufferException {
    if (text("print").equals("events")) {
      print("event", JsonParser.parseString(printer.print(event)));
      return;
    }
    JsonArray at = new JsonArray();
    at.add(Long.toUnsignedString(event.getPosition()));
    at.add(event.getId());
    print("at", at);
  }

  /** Prints a state with its members: name and value by turns. */
  private void state(String state, Object... members) {
    JsonObject line = new JsonObject();
    line.addProperty("state", state);
    for (int i = 0; i < members.length; i += 2) {
      if (members[i + 1] instanceof Number number) {
        line.addProperty((String) members[i], number);
      } else {
        line.addProperty((String) members[i], (String) members[i + 1]);
      }
    }
    out.println(line);
  }

  private void print(String name, JsonElement value) {
    JsonObject line = new JsonObject();
    line.add(name, value);
    out.println(line);
  }

  private static JsonObject end(Throwable e) {
    JsonObject end = new JsonObject();
    end.addProperty("cause", cause(e));
    end.addProperty("message", e == null ? "" : String.valueOf(e.getMessage()));
    if (e instanceof DeskbridgeException failure) {
      end.addProperty("reason", name(failure.reason()));
      end.addProperty("code", failure.code().name());
      end.addProperty("field", failure.field());
      end.addProperty("earliestCursor", failure.earliestCursor());
      end.addProperty("latestCursor", failure.latestCursor());
    }
    return end;
  }

  private static String cause(Throwable e) {
    if (e == null) {
      return "finished";
    }
    return e instanceof Left ? "left" : e instanceof CancellationException ? "cancelled" : "error";
  }

  private static String name(ErrorReason reason) {
    return reason.name().replaceFirst("^ERROR_REASON_", "");
  }

  private String text(String name) {
    return scenario.has(name) ? scenario.get(name).getAsString() : "";
  }

  private int number(String name) {
    return scenario.has(name) ? scenario.get(name).getAsInt() : 0;
  }
}
