package com.deskbridge.client;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.util.Base64;

/** A self-signed certificate for 127.0.0.1 and its key, as PEM files, made by the JDK's keytool. */
final class Certificates {
  private static final String PASSWORD = "only for a test";

  final File certificate;
  final File key;

  Certificates(Path directory) throws IOException, InterruptedException, GeneralSecurityException {
    Path file = directory.resolve("keys.p12");
    generate(file);
    KeyStore keys = KeyStore.getInstance("PKCS12");
    try (InputStream in = Files.newInputStream(file)) {
      keys.load(in, PASSWORD.toCharArray());
    }
    certificate = pem(directory, "CERTIFICATE", keys.getCertificate("bridge").getEncoded());
    key = pem(directory, "PRIVATE KEY", keys.getKey("bridge", PASSWORD.toCharArray()).getEncoded());
  }

  private static void generate(Path file) throws IOException, InterruptedException {
    Process keytool = new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "keytool").toString(),
            "-genkeypair", "-alias", "bridge", "-keyalg", "EC", "-dname", "CN=bridge", "-ext", "SAN=ip:127.0.0.1",
            "-storetype", "PKCS12", "-storepass", PASSWORD, "-keystore", file.toString())
        .redirectErrorStream(true)
        .start();
    String output = new String(keytool.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    if (keytool.waitFor() != 0) {
      throw new IOException("keytool: " + output);
    }
  }

  private static File pem(Path directory, String kind, byte[] content) throws IOException {
    String text = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(content);
    String pem = "-----BEGIN " + kind + "-----\n" + text + "\n-----END " + kind + "-----\n";
    return Files.writeString(directory.resolve(kind), pem).toFile();
  }
}
