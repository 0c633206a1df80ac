// Where oidc-provider keeps what it issues: in memory, and nothing is ever evicted before it expires.
// (The library's own memory adapter is an LRU of about 1,000 entries: a busy test would lose live refresh tokens to it,
// and spent ones, so that a replay would go unseen.)
const SWEEP_MS = 30_000;

/**
 * Returns the adapter factory that oidc-provider's `adapter` option takes; all models share one store.
 * @param {number} graceMs how long a refresh token still works after its first use, as if it had not been used. Each such
 *   use brings a pair of its own. After that a replay is what it always is: the end of the grant.
 */
export function createStore(graceMs = 0) {
  const entries = new Map(); // "<model>:<id>" → {payload, expiresAt}
  const byGrant = new Map(); // grant id → keys of what was issued under it
  const byUid = new Map(); // session uid → session id
  const byUserCode = new Map(); // user code → device code id

  const read = (key) => {
    const entry = entries.get(key);
    if (entry && entry.expiresAt > Date.now()) return entry.payload;
    if (entry) remove(key);
    return undefined;
  };

  const remove = (key) => {
    const payload = entries.get(key)?.payload;
    entries.delete(key);
    if (!payload) return;
    byUid.delete(payload.uid);
    byUserCode.delete(payload.userCode);
    const siblings = byGrant.get(payload.grantId);
    siblings?.delete(key);
    if (siblings?.size === 0) byGrant.delete(payload.grantId);
  };

  const revoke = (grantId) => {
    for (const key of [...(byGrant.get(grantId) ?? [])]) remove(key);
  };

  setInterval(() => {
    const now = Date.now();
    for (const [key, { expiresAt }] of entries) if (expiresAt <= now) remove(key);
  }, SWEEP_MS).unref();

  return (model) => {
    const key = (id) => `${model}:${id}`;
    return {
      async upsert(id, payload, expiresIn) {
        remove(key(id)); // its old index entries too: a session's uid changes
        entries.set(key(id), { payload, expiresAt: expiresIn ? Date.now() + expiresIn * 1000 : Infinity });
        if (model === 'Session') byUid.set(payload.uid, id);
        if (payload.userCode) byUserCode.set(payload.userCode, id);
        // An Interaction or a Session names grants too, but is not revoked with them.
        if (payload.grantId && /Token|Code/.test(model)) {
          if (!byGrant.has(payload.grantId)) byGrant.set(payload.grantId, new Set());
          byGrant.get(payload.grantId).add(key(id));
        }
      },
      async find(id) {
        const payload = read(key(id));
        const inGrace = model === 'RefreshToken' && payload?.consumed && Date.now() < payload.consumedAtMs + graceMs;
        return inGrace ? { ...payload, consumed: undefined } : payload;
      },
      async findByUid(uid) { return read(key(byUid.get(uid))); },
      async findByUserCode(userCode) { return read(key(byUserCode.get(userCode))); },
      async destroy(id) { remove(key(id)); },
      async revokeByGrantId(grantId) { revoke(grantId); },

      // Two requests with one token can't both get here: between oidc-provider's look at `consumed` and this call it waits
      // for nothing but this store, which answers within the same turn of the event loop.
      async consume(id) {
        const payload = read(key(id));
        payload.consumed ??= Math.floor(Date.now() / 1000);
        payload.consumedAtMs ??= Date.now();
      },
    };
  };
}
