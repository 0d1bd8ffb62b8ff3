// Runs the model until standard input ends. Its first line holds the fixtures; the first line that is
// written is the model's address.
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const { LLMock } = await import(pathToFileURL(process.argv[2]));
const lines = createInterface({ input: process.stdin });
lines.on("close", () => process.exit(0));
lines.once("line", async (line) => {
  const mock = new LLMock({ port: 0, host: "127.0.0.1", logLevel: "silent" });
  mock.addFixturesFromJSON(JSON.parse(line));
  await mock.start();
  console.log(mock.url);
});
