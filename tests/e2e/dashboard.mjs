// dashboard.mjs FILE PROMETHEUS: every query of the dashboard brings data. Fails, and names those that don't.
import { readFileSync } from 'node:fs';

/** Longer than from one refresh to the next, in milliseconds. */
const PATIENCE = 120_000;

const [, , file, prometheus] = process.argv;
const targets = JSON.parse(readFileSync(file, 'utf8')).panels.flatMap((panel) => panel.targets ?? []);
let empty = targets.map(({ expr }) => expr.replaceAll('$__rate_interval', '1m'));
// A quantile has a value only while something happens: each query may have its moment.
for (const end = Date.now() + PATIENCE; empty.length > 0 && Date.now() < end; await new Promise((done) => setTimeout(done, 1000))) {
  const answers = await Promise.all(empty.map(async (query) => [query, await bringsData(query)]));
  empty = answers.filter(([, data]) => !data).map(([query]) => query);
}
if (empty.length > 0 || targets.length === 0) {
  console.error(`no data for ${empty.length} of ${targets.length} queries of the dashboard:\n  ${empty.join('\n  ')}`);
  process.exit(1);
}
console.log(`ok      all ${targets.length} queries of the dashboard bring data`);

async function bringsData(query) {
  const response = await fetch(`${prometheus}/api/v1/query?${new URLSearchParams({ query })}`);
  const { status, error, data } = await response.json();
  if (status !== 'success') throw new Error(`${query}: ${error}`);
  return data.result.some(({ value }) => value[1] !== 'NaN');
}
