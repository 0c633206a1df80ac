// kubeconfig.mjs NAMESPACE: takes a kubeconfig as JSON on stdin, and prints one for the same cluster with nothing of its user
// in it, but the token in $TOKEN instead.
import { readFileSync } from 'node:fs';

const config = JSON.parse(readFileSync(0, 'utf8'));
const [{ context }] = config.contexts;
config.users = [{ name: 'oauth-operator', user: { token: process.env.TOKEN } }];
Object.assign(context, { user: 'oauth-operator', namespace: process.argv[2] });
console.log(JSON.stringify(config));
