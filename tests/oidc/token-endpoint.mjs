// What stands in front of the token endpoint: the log of every request, and the faults a test asks for.
import { createHash } from 'node:crypto';
import { openSync, writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

const BODY_LIMIT = 64 * 1024;

/** Only hashes of refresh tokens are kept, never the tokens. A line is on disk before the client has its reply. */
export class RequestLog {
  #file;
  #spent = new Set();
  entries = [];

  constructor(path) {
    if (path) this.#file = openSync(path, 'a', 0o600);
  }

  /**
   * `rotated`: this very request spent the token. `replay`: it had been spent by an earlier one. `committed_us`: when it was
   * spent, in microseconds of the system's monotonic clock, which other processes can read too.
   */
  record({ time, form, authorization, status, error, rotated, committedUs, injected }) {
    const hash = form.refresh_token && createHash('sha256').update(form.refresh_token).digest('hex');
    const entry = {
      time,
      client_id: form.client_id ?? basicUser(authorization) ?? null,
      grant_type: form.grant_type ?? null,
      refresh_token_sha256: hash ?? null,
      status,
      error: error ?? null,
      rotated,
      committed_us: committedUs ?? null,
      replay: this.#spent.has(hash),
      injected,
    };
    if (rotated) this.#spent.add(hash);
    this.entries.push(entry);
    if (this.#file !== undefined) writeSync(this.#file, `${JSON.stringify(entry)}\n`);
  }
}

/**
 * Latency holds for every token request. A failure holds for `count` of them:
 * - `when: "before"` (default): oidc-provider never sees the request, so nothing is spent;
 * - `when: "after"`: it has handled the request, and the failure takes the place of its reply. What the token bought is lost.
 * - `cut: true`: the connection ends without any reply; otherwise `status`, `headers` and `body` (text, or JSON) are sent.
 */
export class Faults {
  latencyMs;
  #fail;

  constructor(latencyMs) {
    this.latencyMs = latencyMs;
  }

  configure({ latencyMs, fail }) {
    if (latencyMs !== undefined) this.latencyMs = latencyMs;
    if (fail !== undefined) this.#fail = fail && { count: 1, when: 'before', ...fail };
  }

  /** The failure for the request at hand, if there is one left. */
  take() {
    const fail = this.#fail;
    if (!fail || fail.count <= 0) return undefined;
    fail.count -= 1;
    return fail;
  }
}

/** Koa middleware for oidc-provider's own stack. */
export function tokenEndpoint(provider, log, faults) {
  const path = provider.pathFor('token');
  const committedUs = new WeakMap(); // a refresh token → when it was spent
  provider.on('refresh_token.consumed', (token) => {
    committedUs.set(token, Number(process.hrtime.bigint() / 1000n));
  });
  return async (ctx, next) => {
    if (ctx.method !== 'POST' || ctx.path !== path) return next();

    const time = new Date().toISOString();
    const fail = faults.take();
    if (faults.latencyMs > 0) await delay(faults.latencyMs);

    let form = {};
    let rotatedToken;
    if (fail?.when === 'before') {
      form = await readForm(ctx.req);
    } else {
      await next();
      form = ctx.oidc.params ?? {};
      rotatedToken = ctx.oidc.entities.RotatedRefreshToken;
    }
    if (fail) answerWith(ctx, fail);

    log.record({
      time,
      form,
      authorization: ctx.get('authorization'),
      status: fail?.cut ? null : ctx.status,
      error: fail?.cut ? undefined : ctx.body?.error,
      rotated: rotatedToken !== undefined,
      committedUs: rotatedToken && committedUs.get(rotatedToken),
      injected: fail !== undefined,
    });
  };
}

function answerWith(ctx, { cut, status, headers = {}, body = '' }) {
  if (cut) {
    ctx.respond = false;
    ctx.req.socket.destroy();
    return;
  }
  ctx.remove('Content-Type'); // what is left of a reply that this one replaces
  ctx.status = status;
  ctx.body = body;
  ctx.set(headers);
}

async function readForm(request) {
  const chunks = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > BODY_LIMIT) break;
    chunks.push(chunk);
  }
  return Object.fromEntries(new URLSearchParams(Buffer.concat(chunks).toString()));
}

/** As sent: RFC 6749's form encoding is left in place. */
function basicUser(authorization) {
  const [scheme, value] = authorization.split(' ');
  if (scheme.toLowerCase() !== 'basic' || !value) return undefined;
  return Buffer.from(value, 'base64').toString().split(':')[0];
}
