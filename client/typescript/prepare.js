// Builds the package when it is installed from this directory. npm only links such a package: what it is built with, and
// what it needs, is installed here.
import { execSync } from "node:child_process";
import { existsSync } from "node:fs";

const run = (command) => execSync(command, { stdio: "inherit" });

if (!existsSync("node_modules/typescript")) {
  run("npm ci --ignore-scripts --no-audit --no-fund");
}
run("npm run build");
