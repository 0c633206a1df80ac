// node commands.mjs PAGE: the commands of a page's ```sh blocks, one a line, as a shell takes them. Where another word follows, they are run
// elsewhere: `sh kubelet` needs pods that run (make e2e), `sh plugin` is in tests/plugin. --wait is left out, since nothing runs here that
// could be waited for.
import { readFileSync } from 'node:fs';

const page = readFileSync(process.argv[2], 'utf8');
for (const [, block] of page.matchAll(/^```sh\n([^]*?)^```$/gm)) {
  for (const command of block.replaceAll('\\\n', '').trim().split('\n')) console.log(command.replaceAll(' --wait', ''));
}
