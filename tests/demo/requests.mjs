// requests.mjs FILE CLIENT: the token server's own log of this client's requests, for people; then one line that counts.
import { readFileSync } from 'node:fs';

const [, , file, client] = process.argv;
const lines = readFileSync(file, 'utf8').trim().split('\n').map((line) => JSON.parse(line));
const requests = lines.filter((line) => line.client_id === client);
const row = (...cells) => console.log(cells.map((cell, i) => String(cell).padEnd([10, 20, 8, 24, 8][i])).join('').trimEnd());

row('TIME', 'GRANT', 'STATUS', 'REFRESH TOKEN (SHA-256)', 'SPENT', 'REPLAY');
for (const { time, grant_type: grant, status, refresh_token_sha256: hash, rotated, replay } of requests) {
  row(time.slice(11, 19), grant, status, hash ? `${hash.slice(0, 16)}…` : '-', rotated ? 'yes' : '-', replay ? 'REPLAY' : 'no');
}
const rotations = requests.filter((request) => request.rotated).length;
const replays = requests.filter((request) => request.replay).length;
console.log(`${requests.length} requests, ${rotations} refresh tokens spent, ${replays} replayed`);
