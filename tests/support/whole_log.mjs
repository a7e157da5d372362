// Validates every event of a log against the JSON schemas, in ajv's strict mode.
//
//     node whole_log.mjs nats://127.0.0.1:4222 ../../schemas
//
// Prints how many events of each stream are valid, and each that is not; exit status 1 for one.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

const [server, schemas] = process.argv.slice(2);
const ajv = addFormats.default(new Ajv2020({ strict: true, allowUnionTypes: true }));
const checks = new Map();

function check(type) {
  if (!checks.has(type)) {
    const file = join(schemas, `${type.replace("ringrift.", "")}.json`);
    checks.set(type, ajv.compile(JSON.parse(readFileSync(file, "utf8"))));
  }
  return checks.get(type);
}

const connection = await connect({ servers: server });
for (const stream of ["EVENTS", "GAMES"]) {
  let count = 0;
  const consumer = await jetstream(connection).consumers.get(stream);
  if ((await consumer.info(true)).num_pending > 0) {
    for await (const message of await consumer.consume()) {
      const event = message.json();
      const valid = check(event.type);
      count += 1;
      if (!valid(event) || event.subject !== message.subject) {
        console.log(`${stream}/${message.seq}: ${ajv.errorsText(valid.errors)}`);
        process.exitCode = 1;
      }
      if (message.info.pending === 0) break;
    }
  }
  console.log(`${stream} ${count}`);
}
await connection.close();
