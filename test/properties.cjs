// Stands for `fast-check` in every suite: the same commit is tested with the same values each time, so that what fails is
// seen again. PROPERTY_SEED takes others: a number, or `random`, which says what it took.
const fc = require('../node_modules/fast-check/lib/cjs/fast-check.js');

const wished = process.env.PROPERTY_SEED ?? '20261128';
const seed = wished === 'random' ? Date.now() % 2 ** 31 : Number(wished);
if (!Number.isInteger(seed)) throw new Error(`PROPERTY_SEED is a whole number or "random", not ${wished}`);
if (wished === 'random') process.stderr.write(`PROPERTY_SEED=${seed}\n`);
fc.configureGlobal({ ...fc.readConfigureGlobal(), seed });

module.exports = fc;
