/**
 * Preloaded by `deno test`. Once a file has called `test` of `node:test`, Deno swallows an error
 * that the file throws afterwards outside a test, at its top level for instance, and the tests that
 * were not reached are not missed. This file makes such an error visible.
 *
 * @module
 */

import { UNCAUGHT } from './outcome.ts';

addEventListener('error', (event) => console.error(UNCAUGHT, event.error ?? event.message));
addEventListener('unhandledrejection', (event) => console.error(UNCAUGHT, event.reason));
