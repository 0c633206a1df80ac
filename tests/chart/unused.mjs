// node unused.mjs DIRECTORY RIGHTS...: which of the rights in these files (lines as objects.mjs prints them) no operator has used in all the
// tests whose API servers wrote their audit logs into the directory. Prints them, and fails when there are any.
import { createReadStream, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const [directory, ...files] = process.argv.slice(2);
// Without the namespace: a right is used if it is used anywhere.
const rights = new Set(files.flatMap((file) => readFileSync(file, 'utf8').trim().split('\n')).map((line) => line.slice(line.indexOf(' ') + 1)));
const used = new Set();
let requests = 0;
for (const name of readdirSync(directory)) {
  for await (const line of createInterface({ input: createReadStream(join(directory, name)) })) {
    let event;
    try {
      event = JSON.parse(line);
    } catch {
      continue; // the last line of an API server that was killed
    }
    const { user, verb, objectRef, annotations } = event;
    if (!/^system:serviceaccount:[^:]+:oauth-operator$/.test(user.username)) continue;
    if (annotations?.['authorization.k8s.io/decision'] !== 'allow') continue;
    if (!objectRef) continue;
    requests += 1;
    const { resource, subresource, apiGroup = '' } = objectRef;
    used.add(`${verb} ${subresource ? `${resource}/${subresource}` : resource}.${apiGroup}`);
  }
}
const unused = [...rights].filter((right) => !used.has(right)).sort();
if (unused.length > 0 || rights.size === 0) {
  console.error(`${unused.length} of ${rights.size} rights are used in none of ${requests} requests:\n  ${unused.join('\n  ')}`);
  process.exit(1);
}
console.log(`each of the ${rights.size} rights is used, in ${requests} requests of the tests`);
