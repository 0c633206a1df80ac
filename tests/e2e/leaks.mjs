// leaks.mjs FILE... <SECRETS: no file has in it what the Secrets (a kubectl List, as JSON) keep secret. Prints how many values were looked for;
// what is found is named by its Secret and key, and is not shown.
import { readFileSync } from 'node:fs';

const files = process.argv.slice(2).map((path) => [path, readFileSync(path, 'utf8')]);
const OPEN = /^(expires_at|token_type|scope|format)$/; // what may be told
const wanted = new Map();

// What is told anyway: UIDs, addresses, and words that are too short to be a secret.
const secret = (text) => text.length >= 14 && !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text);
const words = (name, text) => text.split(/[^A-Za-z0-9_.~+/=-]+/).filter(secret).forEach((word) => wanted.set(word, name));
// In the state, of the fields that hold one.
const leaves = (name, value, holds) => {
  if (typeof value === 'string') return holds && words(name, value);
  for (const [key, item] of Object.entries(value ?? {})) leaves(`${name}.${key}`, item, holds || /token|secret/i.test(key));
};

for (const { metadata, data = {} } of JSON.parse(readFileSync(0, 'utf8')).items) {
  for (const [key, encoded] of Object.entries(data)) {
    const name = `${metadata.namespace}/${metadata.name}: ${key}`;
    const text = Buffer.from(encoded, 'base64').toString();
    if (OPEN.test(key)) continue;
    if (key.endsWith('.json')) leaves(name, JSON.parse(text), false);
    else words(name, text);
    if (secret(encoded)) wanted.set(encoded, `${name}, in base64`);
  }
}

const found = files.flatMap(([path, text]) => [...wanted].filter(([word]) => text.includes(word)).map(([, name]) => `${name}, in ${path}`));
if (found.length > 0 || wanted.size < 5 || files.some(([, text]) => !text)) {
  console.error(found.length > 0 ? found.join('\n') : `${wanted.size} values to look for in ${files.length} files, one of which may be empty`);
  process.exit(1);
}
console.log(wanted.size);
