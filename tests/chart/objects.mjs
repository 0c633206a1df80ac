// Reads on stdin what the chart gives, as `kubectl create --dry-run=client -o json` prints it (one object after the other), and prints a
// part of it.
//   node objects.mjs pod                   the Deployment's pod, as a Pod
//   node objects.mjs consent               all that the pages on which people consent need, in an order of its own, without their labels
//   node objects.mjs rights SERVICEACCOUNT what the ServiceAccount's roles allow, one line a right, sorted
import { readFileSync } from 'node:fs';

const [what, account] = process.argv.slice(2);
const items = readFileSync(0, 'utf8').split(/^(?=\{$)/m).map((text) => JSON.parse(text));
const of = (kind) => items.filter((item) => item.kind === kind);

if (what === 'pod') {
  const { metadata, spec } = of('Deployment')[0].spec.template;
  const { labels, annotations } = metadata;
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'oauth-operator-0', namespace: 'oauth-operator', labels, annotations }, spec };
  // There is no controller that would make ServiceAccounts' tokens.
  pod.spec.automountServiceAccountToken = false;
  delete pod.spec.priorityClassName;
  console.log(JSON.stringify(pod));
} else if (what === 'consent') {
  const kinds = ['Deployment', 'NetworkPolicy', 'Ingress', 'HTTPRoute'];
  const wanted = items.filter(({ kind, metadata }) => kinds.includes(kind) || (kind === 'Service' && metadata.name.endsWith('-consent')));
  for (const { kind, metadata, spec } of wanted) {
    delete metadata.labels;
    if (kind === 'Deployment') spec.template.spec.containers[0].args.sort();
  }
  console.log(JSON.stringify(sorted(wanted.sort((a, b) => a.kind.localeCompare(b.kind))), null, 1));
} else {
  const rights = new Set();
  for (const binding of [...of('ClusterRoleBinding'), ...of('RoleBinding')]) {
    if (!binding.subjects.some((subject) => subject.name === account)) continue;
    const scope = binding.metadata.namespace ?? '*';
    const role = of(binding.roleRef.kind).find(
      ({ metadata }) =>
        metadata.name === binding.roleRef.name &&
        (binding.roleRef.kind === 'ClusterRole' || metadata.namespace === binding.metadata.namespace),
    );
    for (const { apiGroups, resources, verbs } of role.rules) {
      for (const group of apiGroups) {
        for (const resource of resources) {
          for (const verb of verbs) rights.add(`${scope} ${verb} ${resource}.${group}`);
        }
      }
    }
  }
  console.log([...rights].sort().join('\n'));
}

/** The same, with the keys of each object in alphabetical order. */
function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]));
}
