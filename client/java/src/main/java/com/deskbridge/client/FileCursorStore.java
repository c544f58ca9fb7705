package com.deskbridge.client;

import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Optional;

/**
 * Keeps the cursor in a file, as text. The file is replaced as a whole and synced to disk: after a power cut it holds
 * the cursor of the last save that returned, or of the one that was under way. One subscription a file.
 */
public final class FileCursorStore implements CursorStore {
  private final Path path;

  /** Keeps the cursor in this file. Its directory must exist; the file need not. */
  public FileCursorStore(Path path) {
    this.path = path.toAbsolutePath();
  }

  /** Returns nothing when the file does not exist or is empty. */
  @Override
  public Optional<String> load() throws IOException {
    try {
      return Optional.of(Files.readString(path).strip()).filter(cursor -> !cursor.isEmpty());
    } catch (NoSuchFileException e) {
      return Optional.empty();
    }
  }

  /** Returns when the cursor is on disk. */
  @Override
  public void save(String cursor) throws IOException {
    // Always the same, so that kills leave no more than one.
    Path temporary = path.resolveSibling(path.getFileName() + ".tmp");
    try {
      writeSynced(temporary.toFile(), cursor + "\n");
      Files.move(temporary, path, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } finally {
      Files.deleteIfExists(temporary);
    }
    syncDirectory();
  }

  private static void writeSynced(File file, String content) throws IOException {
    try (FileOutputStream out = new FileOutputStream(file)) {
      out.write(content.getBytes(StandardCharsets.UTF_8));
      out.getFD().sync();
    }
  }

  /**
   * Makes the rename durable: until then a power cut may bring the old file back. An interrupt closes a FileChannel,
   * and is put off until this is done.
   */
  private void syncDirectory() throws IOException {
    if (File.separatorChar == '\\') {
      return; // Windows can't open a directory
    }
    boolean interrupted = Thread.interrupted();
    try {
      while (!trySyncDirectory()) {
        interrupted |= Thread.interrupted();
      }
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  private boolean trySyncDirectory() throws IOException {
    try (FileChannel directory = FileChannel.open(path.getParent(), StandardOpenOption.READ)) {
      directory.force(true);
      return true;
    } catch (ClosedByInterruptException e) {
      return false;
    }
  }
}
