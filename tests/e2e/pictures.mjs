// pictures.mjs FILE PROMETHEUS DIRECTORY: the dashboard's queries as Prometheus's own page draws them, in a real browser: pictures for a person
// to look at (DIRECTORY/dashboard-1.png …). Fails where the page shows an error, or no line for a query.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** So many that a picture is no higher than Chromium can paint. */
const GRAPHS_A_PICTURE = 8;
/** Of one graph with its query and a legend of a few series, in pixels. */
const HEIGHT = 720;
/** What the page's scripts are given, in milliseconds of their own clock. */
const DRAWN_WITHIN = 10_000;

const [, , file, prometheus, directory] = process.argv;
const targets = JSON.parse(readFileSync(file, 'utf8')).panels.flatMap((panel) => panel.targets ?? []);
const queries = targets.map(({ expr }) => expr.replaceAll('$__rate_interval', '1m'));
mkdirSync(directory, { recursive: true });
let pictures = 0;
for (let first = 0; first < queries.length; first += GRAPHS_A_PICTURE) {
  const some = queries.slice(first, first + GRAPHS_A_PICTURE);
  const page = `${prometheus}/classic/graph?${new URLSearchParams(some.flatMap((query, graph) => [
    [`g${graph}.expr`, query],
    [`g${graph}.tab`, '0'],
    [`g${graph}.range_input`, '5m'],
  ]))}`;
  const html = browse('--dump-dom', page, some.length);
  const errors = [...html.matchAll(/class="error alert alert-danger"[^>]*>([^<]*)/g)].map(([, text]) => text.trim()).filter(Boolean);
  const drawn = html.split('class="graph rickshaw_graph"').length - 1;
  if (errors.length > 0 || drawn !== some.length) {
    console.error(`Prometheus's page draws ${drawn} of ${some.length} graphs: ${errors.join('; ')}\n  ${some.join('\n  ')}`);
    process.exit(1);
  }
  pictures += 1;
  const picture = join(directory, `dashboard-${pictures}.png`);
  browse(`--screenshot=${picture}`, page, some.length);
  if (statSync(picture).size === 0) throw new Error(`${picture} is empty`);
}
console.log(`ok      Prometheus's page draws all ${queries.length} queries of the dashboard: ${pictures} pictures in ${directory}`);

function browse(what, page, graphs) {
  // As root there is no sandbox: the page is our own Prometheus's.
  const flags = ['--headless=new', '--no-sandbox', '--disable-gpu', '--hide-scrollbars', `--window-size=1200,${200 + graphs * HEIGHT}`];
  return execFileSync('chromium', [...flags, `--virtual-time-budget=${DRAWN_WITHIN}`, what, page], {
    encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], timeout: 120_000, maxBuffer: 64 << 20,
  });
}
