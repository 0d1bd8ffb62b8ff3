// Runs the emulator until standard input ends. Its first line is the seed; the first line that is
// written is the emulator's address.
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const { createEmulator } = await import(pathToFileURL(process.argv[2]));
const lines = createInterface({ input: process.stdin });
lines.on("close", () => process.exit(0));
lines.once("line", async (line) => {
  const seed = JSON.parse(line);
  const { url } = await createEmulator({ service: "github", port: 0, hostname: "127.0.0.1", seed });
  console.log(url);
});
