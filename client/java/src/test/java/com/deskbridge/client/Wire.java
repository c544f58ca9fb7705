package com.deskbridge.client;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

/**
 * A way to a bridge whose connections can vanish: they stay open, and nothing passes any more. So does a peer that
 * loses its power, or a firewall that forgets.
 */
final class Wire implements AutoCloseable {
  private final ServerSocket listener = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
  private final int port;
  private final List<Socket> sockets = new CopyOnWriteArrayList<>();
  private final List<Link> links = new CopyOnWriteArrayList<>();

  Wire(int port) throws IOException {
    this.port = port;
    start(this::accept);
  }

  String address() {
    return "127.0.0.1:" + listener.getLocalPort();
  }

  int accepted() {
    return links.size();
  }

  /** Takes all connections of now. */
  void vanish() {
    links.forEach(link -> link.vanished = true);
  }

  @Override
  public void close() throws IOException {
    listener.close();
    for (Socket socket : sockets) {
      socket.close();
    }
  }

  private void accept() throws IOException {
    while (true) {
      Socket near = listener.accept();
      Socket far = new Socket(InetAddress.getLoopbackAddress(), port);
      sockets.addAll(List.of(near, far));
      Link link = new Link();
      links.add(link);
      start(() -> link.pass(near, far));
      start(() -> link.pass(far, near));
    }
  }

  private static final class Link {
    volatile boolean vanished;

    void pass(Socket from, Socket to) throws IOException {
      InputStream in = from.getInputStream();
      OutputStream out = to.getOutputStream();
      byte[] buffer = new byte[64 << 10];
      for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
        if (!vanished) {
          out.write(buffer, 0, n);
        }
      }
      if (!vanished) {
        to.close();
      }
    }
  }

  private interface Work {
    void run() throws IOException;
  }

  private static void start(Work work) {
    Thread thread = new Thread(() -> {
      try {
        work.run();
      } catch (IOException e) {
        // closed
      }
    });
    thread.setDaemon(true);
    thread.start();
  }
}
