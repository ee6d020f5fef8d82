/**
 * Node's strict assertions where there is no Node: in a Worker without its compatibility flag.
 *
 * @module
 */

export { strict as default } from 'assert/build/assert.js';
