// A person at a browser, without the browser: follows redirects, keeps cookies, and fills in the forms of oidc-provider's
// development pages and of Keycloak's (login, consent, device confirmation) as they come.
const STEPS = 20;

/**
 * Opens an authorization URL, or a device flow's verification_uri_complete, and says yes to everything; with `deny`, no at the
 * first page that has a way to say it.
 * @returns {Promise<string | undefined>} the address that the provider sends the browser to, code and all; undefined where
 *   the provider keeps it (the device flow ends on a page of its own)
 */
export async function consent(address, { login = 'robot', password = `${login}-password`, deny = false } = {}) {
  const { origin } = new URL(address);
  const cookies = new Map(); // one origin, and names that don't clash: paths need not be told apart
  let step = { url: new URL(address) };
  let denied = false;

  for (let i = 0; i < STEPS; i += 1) {
    const response = await fetch(step.url, {
      method: step.fields ? 'POST' : 'GET',
      body: step.fields,
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; '), accept: 'text/html' },
      redirect: 'manual',
    });
    keep(cookies, response.headers.getSetCookie());

    const location = response.headers.get('location');
    const page = await response.text();
    if (location) {
      const next = new URL(location, step.url);
      if (next.origin !== origin) return next.href;
      step = { url: next };
    } else if (!response.ok) {
      throw new Error(`${step.url.pathname} answered ${response.status}`);
    } else if (denied) {
      return undefined; // the device flow asks for another code
    } else if (deny && readAbort(page)) {
      denied = true;
      step = { url: new URL(readAbort(page), step.url) };
    } else {
      const form = readForm(page);
      if (!form) return undefined;
      for (const [name, value] of [['login', login], ['username', login], ['password', password]]) {
        if (form.fields.has(name)) form.fields.set(name, value);
      }
      step = { url: new URL(form.action, step.url), fields: form.fields };
    }
  }
  throw new Error(`no end after ${STEPS} steps, the last at ${step.url.pathname}`);
}

function keep(cookies, lines) {
  for (const line of lines) {
    const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
    if (value === '') cookies.delete(name);
    else cookies.set(name, value);
  }
}

/** The link by which a person says no. */
function readAbort(page) {
  const link = /<a href="([^"]*\/abort)"/.exec(page);
  return link && decodeEntities(link[1]);
}

/** The page's one form, with the first of its buttons pressed. Enough HTML for pages that oidc-provider and Keycloak write. */
function readForm(page) {
  const form = /<form[^>]*action="([^"]*)"[^>]*>(.*?)<\/form>/s.exec(page);
  if (!form) return undefined;
  const fields = new URLSearchParams();
  for (const [input] of form[2].matchAll(/<input[^>]*>/g)) {
    const attribute = (name) => new RegExp(`\\b${name}="([^"]*)"`).exec(input)?.[1] ?? '';
    fields.set(attribute('name'), decodeEntities(attribute('value')));
  }
  const pressed = /<button[^>]*\bname="([^"]*)"/.exec(form[2]);
  if (pressed) fields.set(pressed[1], '');
  return { action: decodeEntities(form[1]), fields };
}

function decodeEntities(text) {
  const entities = { '&lt;': '<', '&gt;': '>', '&quot;': '"', '&#39;': "'", '&amp;': '&' };
  return text.replace(/&(?:lt|gt|quot|#39|amp);/g, (entity) => entities[entity]);
}
