import { open, readFile, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import type { CursorStore } from "./cursor.js";

/**
 * Keeps the cursor in a file, as text. The file is replaced as a whole and synced to disk: after a power cut it holds the
 * cursor of the last save that returned, or of the one that was under way. One subscription a file.
 */
export class FileCursorStore implements CursorStore {
  readonly #path: string;

  /** The file's directory must exist; the file need not. */
  constructor(path: string) {
    this.#path = path;
  }

  /** Returns "" when the file does not exist. */
  async load(): Promise<string> {
    try {
      return (await readFile(this.#path, "utf8")).trim();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") {
        return "";
      }
      throw error;
    }
  }

  /** Returns when the cursor is on disk. */
  async save(cursor: string): Promise<void> {
    const temporary = `${this.#path}.tmp`; // always the same, so that kills leave no more than one
    try {
      await writeSynced(temporary, `${cursor}\n`);
      await rename(temporary, this.#path);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    await sync(dirname(this.#path));
  }
}

async function writeSynced(path: string, content: string): Promise<void> {
  const file = await open(path, "w", 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Makes a rename within the directory durable: until then a power cut may bring the old file back. */
async function sync(directory: string): Promise<void> {
  const handle = await open(directory, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
