// A sample consumer in another language: prints every change of a current network, checked against
// the JSON schemas of this repository.
//
//     npm install && node incumbents.mjs nats://127.0.0.1:4222 ../../schemas [first sequence]
//
// It ends after what is stored; leave out the test of `pending` to follow new events as well.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { DeliverPolicy, jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

const [server, schemas, first = "1"] = process.argv.slice(2);
const ajv = addFormats.default(new Ajv2020({ strict: false, validateFormats: true }));
const checks = new Map();

/** The check of an event type such as `ringrift.ModelPromoted.v1`. */
function check(type) {
  if (!checks.has(type)) {
    const file = join(schemas, `${type.replace("ringrift.", "")}.json`);
    checks.set(type, ajv.compile(JSON.parse(readFileSync(file, "utf8"))));
  }
  return checks.get(type);
}

const connection = await connect({ servers: server });
const consumer = await jetstream(connection).consumers.get("EVENTS", {
  filter_subjects: [
    "ringrift.promotion.*.model-promoted",
    "ringrift.promotion.*.model-rolled-back",
  ],
  deliver_policy: DeliverPolicy.StartSequence,
  opt_start_seq: Number(first),
});
const { num_pending: waiting } = await consumer.info(true);
if (waiting > 0) {
  for await (const message of await consumer.consume()) {
    const event = message.json();
    const valid = check(event.type);
    if (!valid(event)) {
      console.error(`EVENTS/${message.seq}: ${ajv.errorsText(valid.errors)}`);
      process.exitCode = 1;
    } else {
      const { config, model, current = model, why } = event.data;
      console.log(`EVENTS/${message.seq} ${config} ${current.slice(0, 12)} ${why}`);
    }
    if (message.info.pending === 0) break;
  }
}
await connection.close();
