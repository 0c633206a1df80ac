// dashboard.mjs FILE PROMETHEUS: every query of the dashboard brings data. Fails, and names those that don't.
import { readFileSync } from 'node:fs';

const [, , file, prometheus] = process.argv;
const targets = JSON.parse(readFileSync(file, 'utf8')).panels.flatMap((panel) => panel.targets ?? []);
const empty = [];
for (const { expr } of targets) {
  const query = expr.replaceAll('$__rate_interval', '1m');
  const response = await fetch(`${prometheus}/api/v1/query?${new URLSearchParams({ query })}`);
  const { status, error, data } = await response.json();
  if (status !== 'success') throw new Error(`${query}: ${error}`);
  if (!data.result.some(({ value }) => value[1] !== 'NaN')) empty.push(query);
}
if (empty.length > 0 || targets.length === 0) {
  console.error(`no data for ${empty.length} of ${targets.length} queries of the dashboard:\n  ${empty.join('\n  ')}`);
  process.exit(1);
}
console.log(`ok      all ${targets.length} queries of the dashboard bring data`);
