// Checks a certificate with nothing but Node's own cryptography, as docs/certificates.md says:
//
//     node docs/scripts/verify_certificate.mjs CERTIFICATE KEYS
//
// Prints one line for each finding; the exit status is 0 if the certificate holds and is attested,
// 3 if it holds but is not attested, 1 if something in it does not hold.
import { createHash, createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";

const BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const SPKI = Buffer.from("302a300506032b6570032100", "hex"); // the DER header of an Ed25519 key
const BATCH = ',"batch":"([0-9]+)[.]([0-9]+)[.]([A-Za-z0-9_-]*)"';
const SEAL = new RegExp(
  `,"author":"(U[A-Z2-7]{55})"(?:${BATCH})?,"signature":"([A-Za-z0-9_-]{86})"}$`,
);

function sha256(...parts) {
  const hash = createHash("sha256");
  parts.forEach((part) => hash.update(part));
  return hash.digest();
}

function leafOf(item) {
  return sha256(Buffer.from([0]), Buffer.from(`${item.time_ns} ${item.subject}\n${item.body}`));
}

// The root to which a path leads, null if it cannot: RFC 9162, section 2.1.3.2
function rootAbove(leaf, index, size, path) {
  if (!(index >= 0 && index < size)) return null;
  const node = (left, right) => sha256(Buffer.from([1]), left, right);
  const half = (number) => Math.floor(number / 2);
  let [number, last, found] = [index, size - 1, leaf];
  for (const sibling of path) {
    if (last === 0) return null;
    if (number % 2 === 1 || number === last) {
      found = node(sibling, found);
      while (number % 2 === 0 && number !== 0) [number, last] = [half(number), half(last)];
    } else {
      found = node(found, sibling);
    }
    [number, last] = [half(number), half(last)];
  }
  return last === 0 ? found : null;
}

function rawKey(text) {
  const bits = [...text].map((c) => BASE32.indexOf(c).toString(2).padStart(5, "0")).join("");
  const bytes = bits.match(/.{8}/g).map((byte) => parseInt(byte, 2));
  return Buffer.from(bytes).subarray(1, 33); // between the prefix and the checksum
}

// The key that signed an event, "" if none did.
function authorOf(body) {
  const seal = SEAL.exec(body);
  if (!seal) return "";
  const [, author, number, size, siblings, signature] = seal;
  const end = seal.index + `,"author":"${author}"`.length;
  let signed = Buffer.from(body.slice(0, end) + "}");
  if (number !== undefined) {
    const joined = Buffer.from(siblings, "base64url");
    const path = Array.from({ length: joined.length / 32 }, (_, at) => joined.subarray(32 * at, 32 * at + 32));
    const root = rootAbove(sha256(Buffer.from([0]), signed), Number(number), Number(size), path);
    if (root === null) return "";
    signed = Buffer.from(`{"batch":"${root.toString("hex")}","size":${size}}`);
  }
  const key = createPublicKey({
    key: Buffer.concat([SPKI, rawKey(author)]), format: "der", type: "spki",
  });
  return verify(null, signed, key, Buffer.from(signature, "base64url")) ? author : "";
}

function isOf(event, kind, fields) {
  const named = Object.entries(fields).every(([name, value]) => event.data[name] === value);
  return event.type.startsWith(`ringrift.${kind}.v`) && named;
}

function check(certificate, keys) {
  const { config, model, size, root } = certificate;
  const fail = (text) => {
    console.log(`fails: ${text}`);
    process.exit(1);
  };
  if (certificate.format !== "ringrift.certificate.v1") fail(`format ${certificate.format}`);
  for (const item of certificate.events) {
    const path = item.proof.map((text) => Buffer.from(text, "hex"));
    if (!rootAbove(leafOf(item), item.seq - 1, size, path)?.equals(Buffer.from(root, "hex"))) {
      fail(`EVENTS/${item.seq} is not in the tree`);
    }
    if (JSON.parse(item.body).subject !== item.subject) fail(`EVENTS/${item.seq}: its subject`);
  }
  const last = certificate.events.at(-1);
  const promotion = JSON.parse(last.body);
  const back = isOf(promotion, "ModelRolledBack", { config, current: model });
  if (last.seq !== size || !(back || isOf(promotion, "ModelPromoted", { config, model }))) {
    fail("the last event is not this promotion");
  }
  const coordinators = new Map(
    keys.nodes.filter((one) => one.roles.includes("coordinator")).map((one) => [one.key, one.node]),
  );
  const nodes = new Set(coordinators.values());
  const statement = { config, model, promotion: size, root };
  const signed = new Set();
  for (const item of certificate.attestations) {
    const author = authorOf(item.body);
    const said = isOf(JSON.parse(item.body), "PromotionAttested", statement);
    if (said && coordinators.has(author)) signed.add(coordinators.get(author));
  }
  const needed = 2 * Math.floor((Math.max(nodes.size, 4) - 1) / 3) + 1;
  const attested = nodes.size >= 4 && signed.size >= needed;
  console.log(`EVENTS/${size} promotes ${model} in ${config}: ${promotion.data.why}`);
  console.log(`${attested ? "attested" : "unattested"}: ${signed.size} of ${nodes.size} coordinators`);
  process.exit(attested ? 0 : 3);
}

if (process.argv.length !== 4) {
  console.error("usage: node verify_certificate.mjs CERTIFICATE KEYS");
  process.exit(2);
}
check(...process.argv.slice(2, 4).map((path) => JSON.parse(readFileSync(path, "utf8"))));
