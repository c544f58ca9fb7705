import { readFile } from "node:fs/promises";
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { settledBefore } from "./abort.js";

/** A bearer token, or a function that returns it. The function should answer from memory or a file. */
export type Token = string | (() => string | Promise<string>);

/**
 * Returns a token that is read from the file at each use, so that one replaced on disk is taken up. Space around the
 * token is ignored.
 */
export function tokenFile(path: string): () => Promise<string> {
  return async () => {
    const token = (await readFile(path, "utf8")).trim();
    if (token === "") {
      throw new Error(`token file: ${path} is empty`);
    }
    return token;
  };
}

/** Puts the token into each call's metadata. */
export function bearer(token: Token): Interceptor {
  return (next) => async (request) => {
    request.header.set("authorization", `Bearer ${await settledBefore(request.signal, ask(token))}`);
    return next(request);
  };
}

/**
 * Fails with UNAVAILABLE where the token can't be had, and not with what would end a subscription: the place that it
 * comes from may only be down for a moment.
 */
async function ask(token: Token): Promise<string> {
  try {
    return typeof token === "string" ? token : await token();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new ConnectError(`no token: ${message}`, Code.Unavailable, undefined, undefined, error);
  }
}
