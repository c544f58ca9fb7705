package com.deskbridge;

import static org.junit.jupiter.api.Assertions.assertNotNull;

import com.deskbridge.client.*;
import com.deskbridge.v1.*;
import org.junit.jupiter.api.Test;

/** Is there to be compiled: no name of the client may be one of the contract's messages. */
class WildcardImportsTest {
  @Test
  void areNotAmbiguous() {
    try (Client bridge = Client.builder("127.0.0.1:1").build();
        Subscription events = bridge.subscribe(SubscribeRequest.getDefaultInstance())) {
      assertNotNull(events);
    }
  }
}
