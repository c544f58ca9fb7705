package com.deskbridge.client;

import static com.deskbridge.client.ScriptedBridge.caughtUp;
import static com.deskbridge.client.ScriptedBridge.opened;
import static com.deskbridge.client.ScriptedBridge.plays;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.deskbridge.client.ScriptedBridge.Script;
import io.grpc.Status;
import io.grpc.TlsChannelCredentials;
import io.grpc.TlsServerCredentials;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(60)
class CredentialsTest {
  private static final Script PLAYS = plays(opened(0, 0), caughtUp(0));

  @Test
  void tokenIsSentInPlainTextOnThisMachine() throws Exception {
    try (var bridge = new ScriptedBridge(PLAYS);
        Client client = Client.builder(bridge.address()).token("secret").build()) {
      new Recorder().collect(client);
      assertEquals(List.of("Bearer secret"), bridge.authorizations);
    }
  }

  @Test
  void tokenFileIsReadAgain(@TempDir Path directory) throws Exception {
    Path file = directory.resolve("token");
    try (var bridge = new ScriptedBridge(PLAYS);
        Client client = Client.builder(bridge.address()).token(TokenSource.file(file)).build()) {
      for (String token : List.of("first", "second")) {
        Files.writeString(file, token + "\n");
        new Recorder().collect(client);
      }
      assertEquals(List.of("Bearer first", "Bearer second"), bridge.authorizations);
    }
    Files.writeString(file, " \n");
    assertThrows(IOException.class, TokenSource.file(file)::get);
  }

  @Test
  void tokenThatCannotBeHadIsAskedForAgain() throws Exception {
    AtomicInteger asked = new AtomicInteger();
    TokenSource token = () -> {
      if (asked.incrementAndGet() == 1) {
        throw new IOException("issuer is down");
      }
      return "secret";
    };
    Recorder seen = new Recorder();
    try (var bridge = new ScriptedBridge(PLAYS);
        Client client = Client.builder(bridge.address()).token(token).build()) {
      seen.collect(client);
      assertEquals(List.of("Bearer secret"), bridge.authorizations);
    }
    assertEquals(List.of(Status.Code.UNAVAILABLE), seen.causes.stream().map(DeskbridgeException::code).toList());
  }

  @Test
  void mutualTlsIsMadeOfFiles(@TempDir Path directory) throws Exception {
    Certificates made = new Certificates(directory);
    var server = TlsServerCredentials.newBuilder()
        .keyManager(made.certificate, made.key)
        .trustManager(made.certificate)
        .clientAuth(TlsServerCredentials.ClientAuth.REQUIRE)
        .build();
    var credentials = TlsChannelCredentials.newBuilder()
        .trustManager(made.certificate)
        .keyManager(made.certificate, made.key)
        .build();
    try (var bridge = new ScriptedBridge(0, server, PLAYS);
        Client client = Client.builder(bridge.address()).tls(credentials).token("secret").build()) {
      new Recorder().collect(client);
      assertEquals(List.of("Bearer secret"), bridge.authorizations);
    }
  }

  @Test
  void aServerThatIsNotTrustedGetsNoToken(@TempDir Path directory) throws Exception {
    Certificates made = new Certificates(directory);
    var server = TlsServerCredentials.create(made.certificate, made.key);
    try (var bridge = new ScriptedBridge(0, server, PLAYS);
        Client client =
            Client.builder(bridge.address()).tls(TlsChannelCredentials.create()).token("secret").build()) {
      var failure = assertThrows(DeskbridgeException.class, client::getJournalInfo);
      assertEquals(Status.Code.UNAVAILABLE, failure.code());
      assertEquals(List.of(), bridge.authorizations);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {
    "127.0.0.1:9090", "127.8.8.8:1", "localhost:9090", "localhost", "[::1]:9090", "dns:///localhost:9090",
    "dns:127.0.0.1:1", "unix:/run/bridge.sock", "unix:///run/bridge.sock"
  })
  void plainTextIsForThisMachine(String target) {
    assertTrue(Dialer.isLocal(target));
  }

  @ParameterizedTest
  @ValueSource(strings = {
    "bridge:9090", "bridge.internal:9090", "10.0.0.1:9090", "0.0.0.0:9090", "localhost.example.com:9090",
    "dns:///bridge:9090", "dns://127.0.0.1/bridge:9090", "127.0.0.1.example.com:9090", "[2001:db8::1]:9090", ":9090"
  })
  void anyOtherAddressIsReachedWithTls(String target) {
    assertFalse(Dialer.isLocal(target));
  }

  @Test
  void aFaultyConfigurationIsRefused() {
    assertThrows(IllegalArgumentException.class, Client.builder(" ")::build);
    assertThrows(
        IllegalArgumentException.class,
        Client.builder("bridge:9090").plaintext().tls(TlsChannelCredentials.create())::build);
    assertThrows(NullPointerException.class, () -> Client.builder(null));
  }
}
