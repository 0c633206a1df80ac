// person.mjs START-PAGE TICKET: a person at a browser, who goes through the operator's pages and the token server's login and consent, and
// reads aloud. For oidc-provider's part see tests/oidc/consent.mjs.
import { consent } from '../oidc/consent.mjs';

const [, , start, ticket] = process.argv;
const cookies = [];

/** Opens a page, or sends its form; says what its heading is. */
async function open(address, fields) {
  const response = await fetch(address, {
    method: fields ? 'POST' : 'GET',
    body: fields && new URLSearchParams(fields),
    headers: { origin: new URL(address).origin, cookie: cookies.join('; ') },
  });
  cookies.push(...response.headers.getSetCookie().map((line) => line.split(';')[0]));
  const page = await response.text();
  const heading = decoded(/<h1>(.*?)<\/h1>/.exec(page)[1]);
  console.log(`${new URL(address).host.padEnd(16)} ${response.status}  ${heading}`);
  return { status: response.status, heading, page };
}

function decoded(text) {
  const entities = { '&#x2f;': '/', '&#x27;': "'", '&quot;': '"', '&lt;': '<', '&gt;': '>', '&amp;': '&' };
  return text.replace(/&[#\w]+;/g, (entity) => entities[entity]);
}

await open(start);
// The operator learns of the Consent Secret by a watch.
let asked = await open(start, { ticket });
for (let tries = 0; asked.status === 403 && tries < 20; tries += 1) {
  await new Promise((resolve) => { setTimeout(resolve, 250); });
  asked = await open(start, { ticket });
}
for (const [, name, value] of asked.page.matchAll(/<dt>(.*?)<\/dt><dd>(.*?)<\/dd>/g)) {
  const values = [...value.matchAll(/<span>(.*?)<\/span>/g)].map(([, text]) => decoded(text));
  console.log(`                      ${name}: ${values.join(' ')}`);
}
const { page } = await open(start, { ticket, continue: 'yes' });
const provider = decoded(/<a href="([^"]*)"/.exec(page)[1]);
console.log(`${new URL(provider).host.padEnd(16)}      logs in, and allows it`);
const { status, heading } = await open(await consent(provider, { login: 'robot' }));
if (status !== 200 || heading !== 'Your consent has arrived') process.exit(1);
