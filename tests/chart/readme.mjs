// Prints the chart's README: what stands above each value of values.yaml, as a table. `node readme.mjs values.yaml > README.md`
import { readFileSync } from 'node:fs';

const lines = readFileSync(process.argv[2], 'utf8').split('\n');
const rows = [];
const path = []; // [indent, key]
let comment = [];

for (const line of lines) {
  const [, indent, text] = /^( *)(.*)$/.exec(line);
  if (text.startsWith('#')) {
    comment.push(text.replace(/^# ?/, ''));
    continue;
  }
  if (text === '') {
    comment = []; // what stands alone is of the file
    continue;
  }
  const [, key, value] = /^([^:]+): ?(.*)$/.exec(text);
  while (path.length && path.at(-1)[0] >= indent.length) path.pop();
  path.push([indent.length, key]);
  if (value !== '' || comment.length) {
    const name = path.map(([, part]) => part).join('.');
    rows.push(`| \`${name}\` | ${value === '' ? '' : `\`${value}\``} | ${comment.join(' ').replaceAll('|', '\\|')} |`);
  }
  comment = [];
}

console.log(`# oauth-operator

Keeps OAuth 2.0 access tokens fresh in Kubernetes Secrets. How to install it: [docs/install.md](../../docs/install.md).

\`\`\`sh
helm install oauth-operator deploy/chart --namespace oauth-operator --create-namespace --wait
\`\`\`

## Values

Values that are misspelt or out of range are refused. This table is written by \`make generate\` from \`values.yaml\`.

| value | default | |
|---|---|---|
${rows.join('\n')}`);
