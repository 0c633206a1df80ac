// image.mjs DIR REVISION: an unpacked docker-archive is the operator's image: its files and no others, its user, its list of crates.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const [, , dir, revision] = process.argv;
const sbom = 'usr/share/doc/oauth-operator/sbom.cdx.json';
const [{ Config, Layers }] = JSON.parse(readFileSync(join(dir, 'manifest.json')));
const { config } = JSON.parse(readFileSync(join(dir, Config)));
const tar = (...args) => execFileSync('tar', args, { encoding: 'utf8', maxBuffer: 1 << 26 });

const files = Layers.flatMap((layer) => tar('-tf', join(dir, layer)).split('\n')).map((path) => path.replace(/^\.?\//, '')).filter((path) => path && !path.endsWith('/'));
assert.deepEqual(files.sort(), ['etc/ssl/certs/ca-certificates.crt', 'usr/bin/oauth-operator', 'usr/share/doc/oauth-operator/LICENSE', sbom], 'the files of the image');
assert.equal(config.User, '65532:65532', 'the user of the image');
assert.deepEqual(config.Entrypoint, ['/usr/bin/oauth-operator'], 'what the image starts');
assert.equal(config.Labels['org.opencontainers.image.revision'], revision, 'the commit that the image names');

const text = Layers.map((layer) => tar('-xOf', join(dir, layer), '--ignore-failed-read', '--wildcards', `*${sbom}`)).join('');
const { bomFormat, metadata, components } = JSON.parse(text);
assert.equal(bomFormat, 'CycloneDX');
assert.equal(metadata.component.name, 'oauth-operator');
for (const { name, version, purl, licenses } of components) assert(purl === `pkg:cargo/${name}@${version}` && licenses[0].expression, `the list's entry for ${name}`);
for (const crate of ['rustls', 'kube', 'tokio']) assert(components.some(({ name }) => name === crate), `the list lacks ${crate}`);
console.log(`four files, user ${config.User}, and a list of its ${components.length} crates`);
