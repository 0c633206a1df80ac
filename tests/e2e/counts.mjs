// counts.mjs calls FILE CALLER SINCE → different tokens, calls, rejected calls, from this line on
// counts.mjs refreshes FILE CLIENT   → refresh tokens spent, requests that failed, replays
import { readFileSync } from 'node:fs';

const [, , what, file, of, since = 0] = process.argv;
const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
const count = (list, test) => list.filter(test).length;

if (what === 'calls') {
  const calls = lines.slice(since).filter((line) => line.caller === of);
  console.log(new Set(calls.map((call) => call.token)).size, calls.length, count(calls, (call) => !call.active));
} else {
  const requests = lines.filter((line) => line.client_id === of);
  console.log(count(requests, (line) => line.rotated), count(requests, (line) => line.status !== 200), count(requests, (line) => line.replay));
}
