// Verifies webhooks with the JavaScript library, installed in the directory that is the first argument: a JSON array of
// {secret, headers, body} on standard input, an array of the payloads (null: refused) on standard output.
import { createRequire } from "node:module";

const require = createRequire(`${process.argv[2]}/`);
const { Webhook } = require("standardwebhooks");

let input = "";
for await (const part of process.stdin) input += part;
const verified = JSON.parse(input).map(({ secret, headers, body }) => {
  try {
    return new Webhook(secret).verify(body, headers);
  } catch {
    return null;
  }
});
process.stdout.write(JSON.stringify(verified));
