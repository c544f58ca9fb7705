/**
 * Reads session events from a deskbridge, with the parts that every consumer would otherwise write for itself: a
 * subscription survives cuts, restarts and dead connections without a gap and without a repeat, and ends only with an
 * error that the application has to decide. Start at {@link com.deskbridge.client.Client}.
 *
 * <p>It adds nothing to the contract, whose messages are in {@code com.deskbridge.v1}: what it does, any client in any
 * language can do from the same messages.
 */
package com.deskbridge.client;
