package com.deskbridge.client;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Where a bearer token comes from. It is asked before each call and each reconnect, also concurrently, and should
 * answer from memory or a file. When it fails, the call fails with UNAVAILABLE, and a subscription tries again.
 */
@FunctionalInterface
public interface TokenSource {
  /** Returns the token of now. */
  String get() throws Exception;

  /**
   * Returns a source that reads the file at each use, so that a token replaced on disk is taken up. Space around the
   * token is ignored.
   */
  static TokenSource file(Path path) {
    return () -> {
      String token = Files.readString(path).strip();
      if (token.isEmpty()) {
        throw new IOException("token file " + path + " is empty");
      }
      return token;
    };
  }
}
