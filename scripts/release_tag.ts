/**
 * Fails unless a tag is `v` and the version of deno.json: what is released is what the tag says.
 *
 *     deno run --allow-read scripts/release_tag.ts v2.0.0
 *
 * @module
 */

const [tag] = Deno.args;
const { version } = JSON.parse(await Deno.readTextFile('deno.json'));
if (tag !== `v${version}`) {
  console.error(`The tag is "${tag}", but deno.json has version ${version}`);
  Deno.exit(1);
}
