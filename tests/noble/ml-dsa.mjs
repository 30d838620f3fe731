// An implementation of ML-DSA-44 that is not ours, for tests/Signing/IndependentTests.cs.
//
//     node ml-dsa.mjs COUNT
//
// First it writes COUNT lines of hex: seed, public key, expanded private key, message, signature (deterministic) and
// signature (hedged). Then it reads COUNT lines "public key, message, signature" and answers each with 1 or 0: whether it verifies.
import { randomBytes, randomInt } from 'node:crypto';
import { createInterface } from 'node:readline';
import { ml_dsa44 } from '@noble/post-quantum/ml-dsa';

const hex = bytes => Buffer.from(bytes).toString('hex');
const bytes = text => new Uint8Array(Buffer.from(text, 'hex'));

const count = Number(process.argv[2]);
for (let i = 0; i < count; i++) {
  const seed = new Uint8Array(randomBytes(32));
  const message = new Uint8Array(randomBytes(randomInt(600)));
  const { publicKey, secretKey } = ml_dsa44.keygen(seed);
  const same = ml_dsa44.sign(secretKey, message);
  const hedged = ml_dsa44.sign(secretKey, message, undefined, new Uint8Array(randomBytes(32)));
  process.stdout.write([seed, publicKey, secretKey, message, same, hedged].map(hex).join(' ') + '\n');
}

for await (const line of createInterface({ input: process.stdin })) {
  const [publicKey, message, signature] = line.split(' ').map(bytes);
  process.stdout.write((ml_dsa44.verify(publicKey, message, signature) ? 1 : 0) + '\n');
}
