import { isIPv4 } from "node:net";
import type { ClientOptions } from "./connection.js";

/** A name, an IPv4 address, or an IPv6 address in brackets; and a port. */
const hostAndPort = /^([^\s:/?#@[\]]+|\[[0-9A-Fa-f:.]+\]):\d{1,5}$/;

/** Returns the URL of the bridge that the options mean. Throws a TypeError when they are wrong. */
export function baseUrl({ address, plaintext, tls }: Pick<ClientOptions, "address" | "plaintext" | "tls">): string {
  const host = hostAndPort.exec(address)?.[1];
  if (host === undefined || !URL.canParse(`http://${address}`)) {
    throw new TypeError(`address must be "host:port", not "${address}"`);
  }
  if (plaintext && tls) {
    throw new TypeError("plaintext and tls exclude each other");
  }
  return `${plaintext || (!tls && isLocal(host)) ? "http" : "https"}://${address}`;
}

/** A name other than localhost is never local: what it resolves to may change. */
function isLocal(host: string): boolean {
  return host === "localhost" || host === "[::1]" || (isIPv4(host) && host.startsWith("127."));
}
